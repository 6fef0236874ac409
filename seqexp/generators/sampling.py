"""Random hypotheses, drawn word by word from what the models say.

Shapes: B sentences still in the batch, n samples of each, V vocabulary.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch
from seqexp.generators.beam import BeamSearch, BeamSearchConfig, Candidates
from seqexp.generators.search import SearchConfig, SearchState, Step
from seqexp.generators.truncation import min_p, top_k, top_p, typical


@dataclass
class SamplingConfig(SearchConfig):
    """Draws each word at random. `top_k`, `top_p`, `min_p` and `typical_p` cut the distribution to its likely part, one
    after the other; the score is the log-probability before that, after `temperature`."""

    _target_: str = "seqexp.generators.sampling.Sampling"
    num_samples: int = 1
    """Hypotheses drawn and returned for each sentence, best first; the same one may come twice."""
    seed: int = 1
    """What is drawn depends on this, the sentence's tokens and the number of the sample; not on the batch, the order of
    sentences or `num_samples`."""
    top_k: int = 0
    """Draw from the k likeliest words; 0 from all."""
    top_p: float = 1.0
    """Draw from the likeliest words that together have this probability."""
    min_p: float = 0.0
    """Draw from words that have at least this part of the likeliest word's probability."""
    typical_p: float = 1.0
    """Draw from the words whose information is nearest to the entropy and that together have this probability."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.num_samples > 0, "num_samples", self.num_samples, "it must be positive")
        for name in ("seed", "top_k"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "it must not be negative")
        for name in ("top_p", "typical_p"):
            require(0 < getattr(self, name) <= 1, name, getattr(self, name), "it must be above 0 and at most 1")
        require(0 <= self.min_p <= 1, "min_p", self.min_p, "it must be between 0 and 1")

    def as_beams(self) -> BeamSearchConfig:
        """The beam search whose beams the samples are."""
        shared = {f.name: getattr(self, f.name) for f in fields(SearchConfig) if f.name != "_target_"}
        return BeamSearchConfig(**shared, beam_size=self.num_samples, nbest=self.num_samples)


class Randomness(SearchState):
    """A stream of random numbers for each sample.

    Args:
        streams: for each sentence those of its samples.
        device: where the numbers are needed.
    """

    _BLOCK = 64

    def __init__(self, streams: list[list[np.random.Generator]], device: torch.device) -> None:
        self._streams = streams
        self._drawn = torch.empty(len(streams), len(streams[0]), 0, dtype=torch.float64, device=device)

    def at(self, step: int) -> Tensor:
        """The numbers of a step, in [0, 1), float64 [B, n]."""
        if step >= self._drawn.shape[2]:
            block = np.array([[stream.random(self._BLOCK) for stream in streams] for streams in self._streams])
            self._drawn = torch.cat([self._drawn, torch.from_numpy(block).to(self._drawn.device)], dim=2)
        return self._drawn[:, :, step]

    def reorder(self, rows: Tensor, sentences: Tensor | None, tokens: Tensor) -> None:
        if sentences is not None:
            self._drawn = self._drawn[sentences]
            self._streams = [self._streams[row] for row in sentences.tolist()]


class Sampling(BeamSearch):
    """Beams of a group each, which never meet: beam j is sample j."""

    def __init__(self, config: SamplingConfig, **words: Any) -> None:
        super().__init__(config.as_beams(), **words)
        self.sampling = config

    def num_beams(self, num_words: int) -> int:
        return self.sampling.num_samples

    def begin(self, batch: PairBatch) -> SearchState:
        sentences = [[token for token in row if token != self.pad] for row in batch.source_tokens.tolist()]
        seed, samples = self.sampling.seed, range(self.sampling.num_samples)
        streams = [[np.random.default_rng([seed, sample, *tokens]) for sample in samples] for tokens in sentences]
        return Randomness(streams, batch.source_tokens.device)

    def candidates(self, step: Step, num_beams: int) -> Candidates:
        """One word for each sample."""
        num_sentences, num_prefixes = step.scores.shape
        log_probs = step.log_probs.view(num_sentences, num_prefixes, -1)
        weights = self._truncated(step.log_probs).double().softmax(dim=1).view(log_probs.shape)
        assert isinstance(step.state, Randomness)
        uniforms = step.state.at(step.number).reshape(num_sentences, num_prefixes, -1)
        tokens = inverse_cumulative(weights, uniforms)
        scores = (log_probs.gather(2, tokens) + step.scores[:, :, None]).flatten(1)
        scores = scores.masked_fill(scores.isnan(), float("-inf"))
        beams = torch.arange(num_prefixes, device=scores.device).repeat_interleave(tokens.shape[2]).expand_as(scores)
        return Candidates(scores, tokens.flatten(1), beams, num_groups=num_beams)

    def _truncated(self, log_probs: Tensor) -> Tensor:
        options = self.sampling
        if options.top_k > 0:
            log_probs = top_k(log_probs, options.top_k)
        if options.top_p < 1:
            log_probs = top_p(log_probs, options.top_p)
        if options.min_p > 0:
            log_probs = min_p(log_probs, options.min_p)
        if options.typical_p < 1:
            log_probs = typical(log_probs, options.typical_p)
        return log_probs


def inverse_cumulative(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Words drawn by the inverse of the distribution function.

    Args:
        weights: of each word, not negative, float64 [..., V].
        uniforms: in [0, 1), float64 [..., number of draws].

    Returns:
        int64 [..., number of draws]; where all weights are 0 or one is not a number, some word.
    """
    cumulative = weights.cumsum(dim=-1)
    words = torch.searchsorted(cumulative, uniforms * cumulative[..., -1:], right=True)
    return words.clamp_(max=weights.shape[-1] - 1)
