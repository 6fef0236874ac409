"""Beam search.

Shapes: B sentences still in the batch, k beams, C candidates for the next step (at most 2k), V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.history import History, Traced
from seqexp.generators.search import Search, SearchConfig, Step
from seqexp.models.base import Seq2SeqModel


@dataclass
class BeamSearchConfig(SearchConfig):
    """Keeps the likeliest prefixes and goes on with all of them."""

    _target_: str = "seqexp.generators.beam.BeamSearch"
    beam_size: int = 5
    """Prefixes kept for each sentence, and hypotheses collected before its search ends."""
    nbest: int = 1
    """Hypotheses returned for each sentence, best first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.beam_size > 0, "beam_size", self.beam_size, "it must be positive")
        right = f"it must be between 1 and beam_size={self.beam_size}"
        require(0 < self.nbest <= self.beam_size, "nbest", self.nbest, right)


@dataclass
class Candidates:
    """Continuations of the prefixes of each sentence, all [B, C] with C at least the number of beams.

    Of the first k, those that end in `</s>` become hypotheses; the first k that do not end are the next prefixes.

    With several groups, candidate j belongs to group j % `num_groups`, as beam j does. Each group has equally many
    beams and candidates, and its next prefixes come from its own.
    """

    scores: Tensor
    """Log-probability of the whole; -inf marks one that is impossible."""
    tokens: Tensor
    """The last word, int64."""
    beams: Tensor
    """Number of the prefix that is continued, int64."""
    num_groups: int = 1

    def ends(self, eos: int) -> Tensor:
        """True for those that may become hypotheses, bool [B, C]."""
        return self.tokens.eq(eos) & self.scores.ne(float("-inf"))


class BeamSearch(Search):
    """Beam search as fairseq does it.

    Of the 2k likeliest continuations, those among the first k that end in `</s>` are finished hypotheses, and the k
    likeliest that do not end are the next prefixes. A sentence is finished when it has k hypotheses or reached its
    longest length.

    A subclass may replace, besides what it may of any `Search`, `candidates`: which continuations are looked at; and
    `num_beams`.
    """

    def __init__(self, config: BeamSearchConfig, **words: Any) -> None:
        """`words`: as `Search` takes them."""
        super().__init__(config, **words)
        self.config = config

    @torch.no_grad()
    def generate(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[list[Hypothesis]]:
        max_lengths = self.max_lengths(models, batch)
        device = batch.source_tokens.device
        state, predictor = self.begin(batch), self.predictor(models, batch)
        active = list(range(batch.num_sentences))
        last = torch.full((batch.num_sentences, 1), self.start, device=device)
        scores = torch.zeros(batch.num_sentences, 1, device=device)
        # One row a sentence in the first step, whose beams would all be equal.
        log_probs = predictor.log_probs(last.flatten())
        num_beams = self.num_beams(log_probs.shape[1])
        history = History(batch.num_sentences, num_beams, max(max_lengths) + 1, self.eos, device)
        previous = last.new_empty(batch.num_sentences, 0)
        for number in range(max(max_lengths) + 1):
            ending = [max_lengths[sentence] == number for sentence in active]
            step = Step(
                batch=batch,
                number=number,
                log_probs=log_probs,
                scores=scores,
                previous=previous,
                sentences=history.sentences,
                ending=torch.tensor(ending, device=device) if any(ending) else None,
                state=state,
            )
            self.restrict(step)
            candidates = self.candidates(step, num_beams)
            ends = candidates.ends(self.eos)
            first = slice(num_beams)
            full = history.finish(number, candidates.beams[:, first], candidates.scores[:, first], ends[:, first])
            left = [row for row, done in enumerate(full.tolist()) if not (done or ending[row])]
            if not left:
                break
            beams, last, scores = _continue(candidates, ends, num_beams)
            history.extend(number, last, beams, scores)
            sentences = None
            if len(left) < len(active):
                active = [active[row] for row in left]
                sentences = torch.tensor(left, device=device)
                history.keep(sentences)
                beams, last, scores = beams[sentences], last[sentences], scores[sentences]
            rows = _rows(beams, sentences, len(log_probs) // len(full))
            if num_beams > 1 or sentences is not None:
                predictor.reorder(rows, sentences)
            state.reorder(rows, sentences, last.flatten())
            previous = torch.cat([previous[rows], last.view(-1, 1)], dim=1)
            log_probs = predictor.log_probs(last.flatten())
        return self._hypotheses(history.trace())

    def num_beams(self, num_words: int) -> int:
        """k: as many as the config says, but no more than there are candidates in the first step."""
        return min(self.config.beam_size, num_words - 1)

    def candidates(self, step: Step, num_beams: int) -> Candidates:
        """Choose from the log-probabilities of a step, which `restrict` has seen: here the 2k likeliest, best first.

        Args:
            step: the prefixes and what may follow them.
            num_beams: k.
        """
        num_sentences, num_prefixes = step.scores.shape
        log_probs = step.log_probs.view(num_sentences, num_prefixes, -1)
        num_words = log_probs.shape[2]
        # The best of each prefix first: what is added to all of its words does not change their order.
        values, tokens = log_probs.topk(min(2 * num_beams, num_words), dim=2)
        num_candidates = min(2 * num_beams, num_prefixes * num_words - 1)
        values, best = (values + step.scores[:, :, None]).flatten(1).topk(num_candidates)
        values = values.masked_fill(values.isnan(), float("-inf"))
        beams = best.div(tokens.shape[2], rounding_mode="floor")
        return Candidates(values, tokens.flatten(1).gather(1, best), beams)

    def _hypotheses(self, found: Traced) -> list[list[Hypothesis]]:
        scores = self.score(found.log_probs, found.lengths)
        result = []
        for sentence, count in enumerate(found.counts.tolist()):
            order = scores[sentence, :count].sort(descending=True, stable=True).indices[: self.config.nbest]
            result.append([_hypothesis(found, scores, sentence, number) for number in order.tolist()])
        return result


def _continue(candidates: Candidates, ends: Tensor, num_beams: int) -> tuple[Tensor, Tensor, Tensor]:
    """The next prefixes, all [B, k]: the prefixes they continue, their last words and scores."""
    num_candidates, num_groups = ends.shape[1], candidates.num_groups
    order = ends * num_candidates + torch.arange(num_candidates, device=ends.device)
    order = order.view(len(ends), -1, num_groups)
    chosen = order.topk(num_beams // num_groups, dim=1, largest=False).values.flatten(1) % num_candidates
    beams, tokens, scores, ended = (
        x.gather(1, chosen) for x in (candidates.beams, candidates.tokens, candidates.scores, ends)
    )
    # With hardly more words than beams, finished hypotheses fill up the places; nothing can follow them.
    return beams, tokens, scores.masked_fill(ended, float("-inf"))


def _rows(beams: Tensor, sentences: Tensor | None, num_prefixes: int) -> Tensor:
    """Numbers of the rows [B x k] that the new prefixes continue, of those that had `num_prefixes` a sentence."""
    if sentences is None:
        sentences = torch.arange(len(beams), device=beams.device)
    return (sentences[:, None] * num_prefixes + beams).flatten()


def _hypothesis(found: Traced, scores: Tensor, sentence: int, number: int) -> Hypothesis:
    length = int(found.lengths[sentence, number])
    return Hypothesis(
        tokens=found.tokens[sentence, number, :length].clone(),
        score=float(scores[sentence, number]),
        positional_scores=found.positional_scores[sentence, number, :length].clone(),
    )
