"""Beam search.

Shapes: B sentences still in the batch, k beams, C candidates for the next step (at most 2k), V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.ensemble import Ensemble
from seqexp.generators.history import History, Traced
from seqexp.generators.search import Search, SearchConfig
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
class _Candidates:
    """Continuations of the prefixes of each sentence, best first; all [B, C]."""

    scores: Tensor
    """Log-probability of the whole."""
    tokens: Tensor
    """The last word, int64."""
    beams: Tensor
    """Number of the prefix that is continued, int64."""


class BeamSearch(Search):
    """Beam search as fairseq does it.

    Of the 2k likeliest continuations, those among the first k that end in `</s>` are finished hypotheses, and the k
    likeliest that do not end are the next prefixes. A sentence is finished when it has k hypotheses or reached its
    longest length.
    """

    def __init__(self, config: BeamSearchConfig, *, eos: int, pad: int, unk: int, start: int | None = None) -> None:
        super().__init__(config, eos=eos, pad=pad, unk=unk, start=start)
        self.config = config

    @torch.no_grad()
    def generate(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[list[Hypothesis]]:
        max_lengths = self.max_lengths(models, batch)
        device = batch.source_tokens.device
        ensemble = Ensemble(models, batch, self.config.temperature)
        active = list(range(batch.num_sentences))
        last = torch.full((batch.num_sentences, 1), self.start, device=device)
        scores = torch.zeros(batch.num_sentences, 1, device=device)
        # One row a sentence in the first step, whose beams would all be equal.
        log_probs = ensemble.log_probs(last.flatten())
        num_beams = min(self.config.beam_size, log_probs.shape[1] - 1)
        history = History(batch.num_sentences, num_beams, max(max_lengths) + 1, self.eos, device)
        previous = last.new_empty(batch.num_sentences, 0)
        for step in range(max(max_lengths) + 1):
            self.restrict(log_probs, step, previous)
            ending = [max_lengths[sentence] == step for sentence in active]
            candidates = self._candidates(log_probs.view(*last.shape, -1), scores, num_beams, ending)
            ends = candidates.tokens.eq(self.eos) & candidates.scores.ne(float("-inf"))
            first = slice(num_beams)
            full = history.finish(step, candidates.beams[:, first], candidates.scores[:, first], ends[:, first])
            left = [row for row, done in enumerate(full.tolist()) if not (done or ending[row])]
            if not left:
                break
            beams, last, scores = _continue(candidates, ends, num_beams)
            history.extend(step, last, beams, scores)
            sentences = None
            if len(left) < len(active):
                active = [active[row] for row in left]
                sentences = torch.tensor(left, device=device)
                history.keep(sentences)
                beams, last, scores = beams[sentences], last[sentences], scores[sentences]
            rows = _rows(beams, sentences, len(log_probs) // len(full))
            if num_beams > 1 or sentences is not None:
                ensemble.reorder(rows, sentences)
            previous = torch.cat([previous[rows], last.view(-1, 1)], dim=1)
            log_probs = ensemble.log_probs(last.flatten())
        return self._hypotheses(history.trace())

    def _candidates(self, log_probs: Tensor, scores: Tensor, num_beams: int, ending: list[bool]) -> _Candidates:
        """The best continuations.

        Args:
            log_probs: of the next word, [B, prefixes, V].
            scores: of the prefixes, [B, prefixes].
            num_beams: k.
            ending: for each sentence, whether this is its last step, in which prefixes can only end.
        """
        _, num_prefixes, num_words = log_probs.shape
        # The best of each prefix first: what is added to all of its words does not change their order.
        values, tokens = log_probs.topk(min(2 * num_beams, num_words), dim=2)
        if any(ending):
            last = torch.tensor(ending, device=log_probs.device)
            values[last] = float("-inf")
            values[last, :, 0] = log_probs[last, :, self.eos]
            tokens[last] = self.eos
        values, best = (values + scores[:, :, None]).flatten(1).topk(min(2 * num_beams, num_prefixes * num_words - 1))
        beams = best.div(tokens.shape[2], rounding_mode="floor")
        return _Candidates(values, tokens.flatten(1).gather(1, best), beams)

    def _hypotheses(self, found: Traced) -> list[list[Hypothesis]]:
        scores = self.score(found.log_probs, found.lengths)
        result = []
        for sentence, count in enumerate(found.counts.tolist()):
            order = scores[sentence, :count].sort(descending=True, stable=True).indices[: self.config.nbest]
            result.append([_hypothesis(found, scores, sentence, number) for number in order.tolist()])
        return result


def _continue(candidates: _Candidates, ends: Tensor, num_beams: int) -> tuple[Tensor, Tensor, Tensor]:
    """The next prefixes, all [B, k]: the prefixes they continue, their last words and scores."""
    num_candidates = ends.shape[1]
    order = ends * num_candidates + torch.arange(num_candidates, device=ends.device)
    chosen = order.topk(num_beams, dim=1, largest=False).indices
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
