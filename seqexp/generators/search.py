"""What the left-to-right searches have in common: limits of length, forbidden words, normalised scores.

Shapes: B sentences, R rows = B x beams, T tokens so far, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch
from seqexp.data.vocabulary import Vocabulary
from seqexp.generators.attention import with_attention
from seqexp.generators.base import Generator, GeneratorConfig, Hypothesis
from seqexp.generators.ensemble import Ensemble, Predictor, WeightedSum
from seqexp.generators.fusion import LanguageModelPredictor
from seqexp.generators.prefixes import AllowedTokens, allow, force, given_prefixes
from seqexp.models.base import LanguageModel, Seq2SeqModel


class LengthFrom(StrEnum):
    """Which source length limits the length of a hypothesis."""

    sentence = "sentence"
    """The sentence's own: hypotheses do not depend on the batch."""
    batch = "batch"
    """The longest of the batch, as in fairseq."""


class LengthPenalty(StrEnum):
    """What log-probabilities are divided by, where L is a hypothesis's length and a is `length_penalty`."""

    power = "power"
    """L ** a, as in fairseq and Hugging Face; with a = 1 the mean, OpenNMT's `avg`."""
    gnmt = "gnmt"
    """((5 + L) / 6) ** a (Wu et al. 2016, arXiv 1609.08144), OpenNMT's `wu`."""


@dataclass
class SearchConfig(GeneratorConfig):
    """Options of searches that go from left to right."""

    needs: ClassVar[frozenset[str]] = frozenset({"vocabulary"})

    max_length_a: float = 1.2
    """A hypothesis has at most a * x + b tokens before `</s>`, where x counts the source's tokens with `</s>`."""
    max_length_b: int = 10
    """See `max_length_a`. The model's `max_target_positions` is a limit too."""
    max_length_from: LengthFrom = LengthFrom.sentence
    """Whose length x is."""
    min_length: int = 1
    """Fewest tokens before `</s>`; goes before the limits of `max_length_a` and `max_length_b`."""
    min_length_a: float = 0.0
    """`min_length` is this many times x higher."""
    temperature: float = 1.0
    """Divides the model's scores: above 1 flattens the distribution, below 1 sharpens it."""
    unk_penalty: float = 0.0
    """Subtracted from the log-probability of an unknown word; below 0 it is a reward."""
    no_repeat_ngram_size: int = 0
    """No hypothesis contains the same n-gram of this size twice; 0 is no restriction."""
    tokens_to_suppress: list[str] = field(default_factory=list)
    """Tokens of the vocabulary that are never generated."""
    prefix_size: int = 0
    """Words of the reference that each hypothesis is made to begin with."""
    normalize_scores: bool = True
    """Rank finished hypotheses by log-probability divided by length ** `length_penalty`."""
    length_penalty: float = 1.0
    """Above 1 favours long hypotheses, below 1 short ones. Length counts `</s>`."""
    length_penalty_form: LengthPenalty = LengthPenalty.power
    """The function of length and `length_penalty` that log-probabilities are divided by."""
    lm: str | None = None
    """Directory of the run, or of a checkpoint, of a language model with the same vocabulary, whose log-probabilities
    are added; not in training."""
    lm_weight: float = 0.3
    """What they are multiplied with."""
    return_attention: bool = False
    """Give each hypothesis its attention to the source, from the model's `decoder.alignment_layer`, and the alignment
    of words that follows from it."""

    def __post_init__(self) -> None:
        require(self.temperature > 0, "temperature", self.temperature, "it must be positive")
        lengths = ("max_length_a", "max_length_b", "min_length", "min_length_a")
        for name in (*lengths, "no_repeat_ngram_size", "prefix_size", "lm_weight"):
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

    batch: PairBatch
    """What is searched."""
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
        vocabulary: where the config names tokens.

    Raises:
        ValueError: a token that the config names cannot be suppressed.
    """

    allowed_tokens: AllowedTokens | None = None
    """Set from Python: which words may follow a prefix, besides what the options say."""
    language_model: LanguageModel | None = None
    """Whose log-probabilities are added, as `fuse` or somebody in Python has set it."""

    def __init__(
        self,
        config: SearchConfig,
        *,
        eos: int,
        pad: int,
        unk: int,
        start: int | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self._options = config
        self.eos = eos
        self.pad = pad
        self.unk = unk
        self.start = eos if start is None else start
        self.needs_references = config.prefix_size > 0
        for token in config.tokens_to_suppress:
            known = vocabulary is not None and token in vocabulary and vocabulary.index(token) != eos
            require(known, "generator.tokens_to_suppress", token, "give tokens of the vocabulary, not </s>")
        self._suppressed = [vocabulary.index(token) for token in config.tokens_to_suppress] if vocabulary else []

    def max_lengths(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[int]:
        """For each sentence, the most tokens before `</s>`.

        Raises:
            ValueError: no model, constraints that this search does not know, or `min_length` or a given prefix is more
                than a model can make.
        """
        options = self._options
        require(len(models) > 0, "models", "[]", "a search needs at least one")
        seen_to = batch.constraints is None or self.sees_to_constraints
        require(seen_to, "constraints", "[...]", "take generator=constrained_beam")
        most = min(model.max_output_size(batch.source_tokens.shape[1]) for model in models) - 1
        require(
            options.min_length <= most, "generator.min_length", options.min_length, f"the model allows {most} at most"
        )
        lengths = self._source_lengths(batch).tolist()
        limits = (min(int(options.max_length_a * length + options.max_length_b), most) for length in lengths)
        least = [min(length, most) for length in self.min_lengths(batch).tolist()]
        prefixes = self.prefixes(batch)
        if prefixes is not None:
            given = prefixes.ne(self.pad).sum(dim=1).tolist()
            require(max(given) <= most, "prefix", f"{max(given)} tokens", f"the model allows {most} at most")
            least = [max(pair) for pair in zip(least, given, strict=True)]
        return [max(pair) for pair in zip(limits, least, strict=True)]

    def min_lengths(self, batch: PairBatch) -> Tensor:
        """For each sentence, the fewest tokens before `</s>`, int64 [B]."""
        lengths = self._source_lengths(batch) * self._options.min_length_a
        return lengths.long() + self._options.min_length

    def _source_lengths(self, batch: PairBatch) -> Tensor:
        if self._options.max_length_from == LengthFrom.batch:
            return torch.full_like(batch.source_lengths, batch.source_tokens.shape[1])
        return batch.source_lengths

    def prefixes(self, batch: PairBatch) -> Tensor | None:
        """What hypotheses have to begin with, as `given_prefixes`."""
        return given_prefixes(batch, self._options.prefix_size, eos=self.eos, pad=self.pad)

    def begin(self, batch: PairBatch) -> SearchState:
        """What this search will remember of a batch."""
        return SearchState()

    def predictor(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> Predictor:
        """What gives the log-probabilities: here the mean of the models' probabilities, and a language model's."""
        ensemble = Ensemble(models, batch, self._options.temperature)
        if self.language_model is None:
            return ensemble
        parts = [(1.0, ensemble), (self._options.lm_weight, LanguageModelPredictor(self.language_model))]
        return WeightedSum(parts)

    def fuse(self, load: Callable[[str], LanguageModel]) -> None:
        if self._options.lm is not None:
            self.language_model = load(self._options.lm)

    def restrict(self, step: Step) -> None:
        """Change the log-probabilities of a step, in place, as the options say. A given prefix goes before all."""
        log_probs = step.log_probs
        prefixes = self.prefixes(step.batch)
        if prefixes is not None and step.number < prefixes.shape[1]:
            words = prefixes[step.sentences, step.number].repeat_interleave(step.scores.shape[1])[:, None]
            own = log_probs.gather(1, words)
            self._restrict(step)
            force(log_probs, words, own, self.pad)
        else:
            self._restrict(step)

    def _restrict(self, step: Step) -> None:
        log_probs = step.log_probs
        log_probs[:, self.pad] = float("-inf")
        if self._options.unk_penalty != 0:
            log_probs[:, self.unk] -= self._options.unk_penalty
        if step.number < self._options.min_length:
            log_probs[:, self.eos] = float("-inf")
        elif self._options.min_length_a > 0:
            short = self.min_lengths(step.batch)[step.sentences] > step.number
            if step.ending is not None:
                short &= ~step.ending  # where the model can make no more
            log_probs[short.repeat_interleave(step.scores.shape[1]), self.eos] = float("-inf")
        if self._suppressed:
            log_probs[:, self._suppressed] = float("-inf")
        if self.allowed_tokens is not None:
            allow(log_probs, self._allowed(step, self.allowed_tokens))
        if self._options.no_repeat_ngram_size > 0:
            # Padding, which is impossible already, stands for "nothing to forbid".
            forbidden = repeated_ngrams(step.previous, self._options.no_repeat_ngram_size, self.pad)
            log_probs.scatter_(1, forbidden, float("-inf"))
        if step.ending is not None:
            self._end(log_probs, step.ending)

    def _allowed(self, step: Step, allowed: AllowedTokens) -> list[list[int]]:
        numbers = step.batch.indices[step.sentences].repeat_interleave(step.scores.shape[1]).tolist()
        rows = zip(numbers, step.previous.tolist(), step.scores.isinf().flatten().tolist(), strict=True)
        return [[] if empty else list(allowed(number, words)) for number, words, empty in rows]

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
        lengths = lengths.to(log_probs.dtype)
        if self._options.length_penalty_form == LengthPenalty.gnmt:
            lengths = (5 + lengths) / 6
        return log_probs / lengths**self._options.length_penalty

    def finished(
        self, models: Sequence[Seq2SeqModel], batch: PairBatch, found: list[list[Hypothesis]]
    ) -> list[list[Hypothesis]]:
        """What a search returns: the hypotheses, with their attention if that is wanted."""
        if not self._options.return_attention:
            return found
        return with_attention(models, batch, found, start=self.start, pad=self.pad, eos=self.eos)

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
