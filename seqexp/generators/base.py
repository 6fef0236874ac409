"""Generators search for the outputs that a model scores highest."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from seqexp.config.base import ComponentConfig
from seqexp.data.batch import PairBatch
from seqexp.models.base import Seq2SeqModel


@dataclass
class GeneratorConfig(ComponentConfig):
    """Base of all generators' configs."""


@dataclass(frozen=True)
class Hypothesis:
    """One output for one sentence."""

    tokens: Tensor
    """int64 [length], on the CPU, ends in `</s>`."""
    score: float
    """What hypotheses are ranked by: the log-probability (nats), normalised as the generator's config says."""
    positional_scores: Tensor
    """Log-probability (nats) of each token, float32 [length], on the CPU."""
    attention: Tensor | None = None
    """How much each token, before it was known, attended to each token of the source without padding: float32 [length,
    source length], on the CPU; rows sum to 1. None unless the generator was asked for it."""


class Generator(ABC):
    """Searches with one model, or with several that vote; neither detokenises nor scores against references."""

    @abstractmethod
    def generate(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[list[Hypothesis]]:
        """For each sentence of the batch, in order, its hypotheses from best to worst.

        There is at least one, unless the models give `</s>` probability 0 wherever it is allowed.
        """
