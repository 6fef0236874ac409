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

    A search for fewer than k hypotheses leaves a sentence as soon as no prefix of it can become better than what it has
    (`Search.bound`): the result is the same, since prefixes can only lose probability.

    A subclass may replace, besides what it may of any `Search`, `candidates`: which continuations are looked at (none
    may have a higher score than the prefix that it continues); and `num_beams`.
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
        best = _Best(self, batch.num_sentences, torch.tensor(max_lengths, device=device))
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
            done = history.finish(number, candidates.beams[:, first], candidates.scores[:, first], ends[:, first])
            beams, last, scores = _continue(candidates, ends, num_beams)
            if self.config.nbest < num_beams:
                done |= best.settled(number, candidates.scores[:, first].where(ends[:, first], float("-inf")), scores)
            left = [row for row, is_done in enumerate(done.tolist()) if not (is_done or ending[row])]
            if not left:
                break
            history.extend(number, last, beams, scores)
            sentences = None
            if len(left) < len(active):
                active = [active[row] for row in left]
                sentences = torch.tensor(left, device=device)
                history.keep(sentences)
                best.keep(sentences)
                beams, last, scores = beams[sentences], last[sentences], scores[sentences]
            rows = _rows(beams, sentences, step.scores.shape[1])
            if num_beams > 1 or sentences is not None:
                predictor.reorder(rows, sentences)
            state.reorder(rows, sentences, last.flatten())
            previous = torch.cat([previous[rows], last.view(-1, 1)], dim=1)
            log_probs = predictor.log_probs(last.flatten())
        return self.finished(models, batch, self._hypotheses(history.trace()))

    def num_beams(self, num_words: int) -> int:
        """k: as many as the config says, but no more than there are candidates in the first step."""
        return min(self.config.beam_size, num_words - 1)

    def candidates(self, step: Step, num_beams: int) -> Candidates:
        """Choose from the log-probabilities of a step, which `restrict` has seen: here the 2k likeliest, best first.

        Args:
            step: the prefixes and what may follow them.
            num_beams: k.
        """
        log_probs = step.log_probs.view(*step.scores.shape, -1)
        num_candidates = min(2 * num_beams, log_probs[0].numel() - 1)
        return Candidates(*likeliest(log_probs, step.scores, num_candidates))

    def _hypotheses(self, found: Traced) -> list[list[Hypothesis]]:
        scores = self.score(found.log_probs, found.lengths)
        result = []
        for sentence, count in enumerate(found.counts.tolist()):
            order = scores[sentence, :count].sort(descending=True, stable=True).indices[: self.config.nbest]
            result.append([_hypothesis(found, scores, sentence, number) for number in order.tolist()])
        return result


class _Best:
    """The scores of the best hypotheses that a search has found for each sentence, as many as are asked for."""

    def __init__(self, search: BeamSearch, num_sentences: int, max_lengths: Tensor) -> None:
        self._search = search
        self._longest = max_lengths + 1
        self._scores = torch.full((num_sentences, search.config.nbest), float("-inf"), device=max_lengths.device)

    def settled(self, number: int, found: Tensor, prefixes: Tensor) -> Tensor:
        """True for sentences whose best hypotheses are known, bool [B].

        Args:
            number: of the step.
            found: log-probabilities of the hypotheses that end there, -inf for none, [B, k].
            prefixes: scores of those that go on, [B, k].
        """
        shortest = torch.full_like(self._longest, number + 2)
        found = self._search.score(found, shortest[:, None] - 1)
        self._scores = torch.cat([self._scores, found], dim=1).topk(self._scores.shape[1]).values
        return self._scores[:, -1] >= self._search.bound(prefixes.amax(dim=1), shortest, self._longest)

    def keep(self, rows: Tensor) -> None:
        """Go on with the sentences numbered in `rows` only."""
        self._longest, self._scores = self._longest[rows], self._scores[rows]


_BLOCK = 64
"""Words that are looked at together. topk is slow, a maximum is fast: the best words are in the best blocks."""


def likeliest(log_probs: Tensor, scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The continuations of highest score, best first.

    Args:
        log_probs: of the next word, [B, prefixes, V].
        scores: of the prefixes, [B, prefixes].
        count: C, how many are wanted of each sentence.

    Returns:
        Their scores (-inf where a model gave none), words and numbers of prefixes, each [B, C].
    """
    num_sentences, num_prefixes, num_words = log_probs.shape
    num_blocks = num_words // _BLOCK
    if num_prefixes * num_blocks <= count:
        values, best = (log_probs + scores[:, :, None]).flatten(1).topk(count)
        return _possible(values), best % num_words, best.div(num_words, rounding_mode="floor")
    blocks = log_probs[:, :, : num_blocks * _BLOCK].view(num_sentences, num_prefixes, num_blocks, _BLOCK)
    chosen = (blocks.amax(dim=3) + scores[:, :, None]).flatten(1).topk(count, sorted=False).indices
    prefixes, places = chosen.div(num_blocks, rounding_mode="floor"), chosen % num_blocks
    sentences = torch.arange(num_sentences, device=chosen.device)[:, None]
    values = (blocks[sentences, prefixes, places] + scores.gather(1, prefixes)[:, :, None]).flatten(1)
    # The words that fill no block take part in any case.
    rest = (log_probs[:, :, num_blocks * _BLOCK :] + scores[:, :, None]).flatten(1)
    values, best = torch.cat([values, rest], dim=1).topk(count)
    block, word = best.div(_BLOCK, rounding_mode="floor").clamp_(max=count - 1), best % _BLOCK
    tokens, prefixes = places.gather(1, block) * _BLOCK + word, prefixes.gather(1, block)
    if rest.shape[1] > 0:
        width, place = num_words % _BLOCK, best - count * _BLOCK
        tokens = tokens.where(place < 0, num_blocks * _BLOCK + place % width)
        prefixes = prefixes.where(place < 0, place.div(width, rounding_mode="floor"))
    return _possible(values), tokens, prefixes


def _possible(scores: Tensor) -> Tensor:
    """What is not a number is impossible."""
    return scores.masked_fill(scores.isnan(), float("-inf"))


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
