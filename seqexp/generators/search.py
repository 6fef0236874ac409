"""What the left-to-right searches have in common: limits of length, forbidden words, normalised scores.

Shapes: B sentences, R rows = B x beams, T tokens so far, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch
from seqexp.generators.attention import with_attention
from seqexp.generators.base import Generator, GeneratorConfig, Hypothesis
from seqexp.generators.ensemble import Ensemble, Predictor
from seqexp.models.base import Seq2SeqModel


class LengthFrom(StrEnum):
    """Which source length limits the length of a hypothesis."""

    sentence = "sentence"
    """The sentence's own: hypotheses do not depend on the batch."""
    batch = "batch"
    """The longest of the batch, as in fairseq."""


@dataclass
class SearchConfig(GeneratorConfig):
    """Options of searches that go from left to right."""

    max_length_a: float = 1.2
    """A hypothesis has at most a * x + b tokens before `</s>`, where x counts the source's tokens with `</s>`."""
    max_length_b: int = 10
    """See `max_length_a`. The model's `max_target_positions` is a limit too."""
    max_length_from: LengthFrom = LengthFrom.sentence
    """Whose length x is."""
    min_length: int = 1
    """Fewest tokens before `</s>`; goes before the limits of `max_length_a` and `max_length_b`."""
    temperature: float = 1.0
    """Divides the model's scores: above 1 flattens the distribution, below 1 sharpens it."""
    unk_penalty: float = 0.0
    """Subtracted from the log-probability of an unknown word; below 0 it is a reward."""
    no_repeat_ngram_size: int = 0
    """No hypothesis contains the same n-gram of this size twice; 0 is no restriction."""
    normalize_scores: bool = True
    """Rank finished hypotheses by log-probability divided by length ** `length_penalty`."""
    length_penalty: float = 1.0
    """Above 1 favours long hypotheses, below 1 short ones. Length counts `</s>`."""
    return_attention: bool = False
    """Give each hypothesis its attention to the source, from the model's `decoder.alignment_layer`."""

    def __post_init__(self) -> None:
        require(self.temperature > 0, "temperature", self.temperature, "it must be positive")
        for name in ("max_length_a", "max_length_b", "min_length", "no_repeat_ngram_size"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "it must not be negative")


class SearchState:
    """What one search of a batch remembers besides prefixes and scores; here nothing.

    A search that has something to remember (constraints, penalties, random generators) makes its own in `Search.begin`
    and finds it in every `Step`.
    """

    def reorder(self, rows: Tensor, sentences: Tensor | None, tokens: Tensor) -> None:
        """Follow the search to its next prefixes.

        Args:
            rows: for each new prefix the row of the one that it continues, int64 [new R]; rows of a sentence are
                adjacent. Before the first call there is one row a sentence, later there are as many as beams.
            sentences: the rows of the sentences that go on, int64 [new B]; None when all do, in their order.
            tokens: what each new prefix adds to the one that it continues, int64 [new R].
        """


@dataclass
class Step:
    """One step of a search, of which the next words are to be chosen."""

    number: int
    """Words that all prefixes have, from 0."""
    log_probs: Tensor
    """Of the next word, float32 [R, V]; may be changed in place."""
    scores: Tensor
    """Sums of log-probability of the prefixes, [B, prefixes]: one prefix in the first step, then as many as beams. -inf
    marks a place that holds none."""
    previous: Tensor
    """The words of the prefixes, int64 [R, number]."""
    sentences: Tensor
    """Which sentences of the batch are still searched, int64 [B]."""
    ending: Tensor | None
    """True for sentences that have reached their longest length and can only end, bool [B]; None if there is none."""
    state: SearchState


class Search(Generator):
    """Base of the searches.

    Models are used in the mode that they are in: put them in evaluation mode, or their dropout takes part.

    What a subclass may replace: `begin`, what is remembered of a batch; `predictor`, where log-probabilities come from;
    `max_lengths`; `restrict`, which of them are allowed;
    `score` and `bound`, how finished hypotheses are ranked.

    Args:
        config: options.
        eos: index of `</s>`, which ends every hypothesis.
        pad: index of padding, never generated.
        unk: index of the unknown word.
        start: the decoder's first input; None is `eos`.
    """

    def __init__(self, config: SearchConfig, *, eos: int, pad: int, unk: int, start: int | None = None) -> None:
        self._options = config
        self.eos = eos
        self.pad = pad
        self.unk = unk
        self.start = eos if start is None else start

    def max_lengths(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[int]:
        """For each sentence, the most tokens before `</s>`.

        Raises:
            ValueError: no model, or `min_length` is more than a model can make.
        """
        options = self._options
        require(len(models) > 0, "models", "[]", "a search needs at least one")
        most = min(model.max_target_positions for model in models) - 1
        require(
            options.min_length <= most, "generator.min_length", options.min_length, f"the model allows {most} at most"
        )
        lengths = batch.source_lengths.tolist()
        if options.max_length_from == LengthFrom.batch:
            lengths = [batch.source_tokens.shape[1]] * len(lengths)
        limits = (min(int(options.max_length_a * length + options.max_length_b), most) for length in lengths)
        return [max(limit, options.min_length) for limit in limits]

    def begin(self, batch: PairBatch) -> SearchState:
        """What this search will remember of a batch."""
        return SearchState()

    def predictor(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> Predictor:
        """What gives the log-probabilities: here the mean of the models' probabilities."""
        return Ensemble(models, batch, self._options.temperature)

    def restrict(self, step: Step) -> None:
        """Change the log-probabilities of a step, in place, as the options say."""
        log_probs = step.log_probs
        log_probs[:, self.pad] = float("-inf")
        if self._options.unk_penalty != 0:
            log_probs[:, self.unk] -= self._options.unk_penalty
        if step.number < self._options.min_length:
            log_probs[:, self.eos] = float("-inf")
        if self._options.no_repeat_ngram_size > 0:
            # Padding, which is impossible already, stands for "nothing to forbid".
            forbidden = repeated_ngrams(step.previous, self._options.no_repeat_ngram_size, self.pad)
            log_probs.scatter_(1, forbidden, float("-inf"))
        if step.ending is not None:
            self._end(log_probs, step.ending)

    def _end(self, log_probs: Tensor, ending: Tensor) -> None:
        """Leave only `</s>` in the rows of the sentences that are at their longest length."""
        rows = ending.repeat_interleave(len(log_probs) // len(ending))
        eos = log_probs[:, self.eos].clone()
        log_probs.masked_fill_(rows[:, None], float("-inf"))
        log_probs[:, self.eos] = eos

    def score(self, log_probs: Tensor, lengths: Tensor) -> Tensor:
        """What hypotheses with these log-probabilities and lengths (`</s>` included) are ranked by."""
        if not self._options.normalize_scores:
            return log_probs
        return log_probs / lengths.to(log_probs.dtype) ** self._options.length_penalty

    def finished(
        self, models: Sequence[Seq2SeqModel], batch: PairBatch, found: list[list[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """What a search returns: the hypotheses, with their attention if that is wanted."""
        if not self._options.return_attention:
            return found
        return with_attention(models, batch, found, start=self.start, pad=self.pad)

    def bound(self, log_probs: Tensor, shortest: Tensor, longest: Tensor) -> Tensor:
        """The highest score that prefixes with these log-probabilities can still reach; a search may stop below it.

        For a `score` that only rises or only falls with the length. Another one needs another bound.

        Args:
            log_probs: of the prefixes, [B].
            shortest: length of the shortest hypothesis that each may become, int64 [B].
            longest: of the longest, int64 [B].
        """
        bound = self.score(log_probs, shortest).maximum(self.score(log_probs, longest))
        # With a reward for unknown words a prefix may gain by growing.
        return bound if self._options.unk_penalty >= 0 else torch.full_like(bound, float("inf"))


def repeated_ngrams(previous: Tensor, size: int, filler: int) -> Tensor:
    """The words that would complete an n-gram that is there already.

    Args:
        previous: int64 [R, T].
        size: n.
        filler: stands where an n-gram of `previous` does not begin like its end.

    Returns:
        int64 [R, number of n-grams in `previous`].
    """
    num_rows, length = previous.shape
    if length < size:
        return previous.new_empty(num_rows, 0)
    ngrams = previous.unfold(1, size, 1)
    end = previous[:, length - size + 1 :]
    matches = (ngrams[:, :, :-1] == end[:, None, :]).all(dim=2)
    return ngrams[:, :, -1].where(matches, filler)
