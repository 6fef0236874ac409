"""Cross-entropy against targets that leave some probability to every word."""

from dataclasses import dataclass
from enum import StrEnum

from torch import nn

from seqexp.config.base import require
from seqexp.criterions.base import Criterion, LossOutput
from seqexp.criterions.cross_entropy import CrossEntropyConfig, summed_cross_entropy
from seqexp.data.batch import Batch


class SmoothingConvention(StrEnum):
    """Where the probability `label_smoothing` goes, with V words in the vocabulary."""

    fairseq = "fairseq"
    """label_smoothing / (V - 1) to each word but the target, 1 - label_smoothing to the target."""
    torch = "torch"
    """label_smoothing / V to each word, the target included (Szegedy et al. 2015, arXiv 1512.00567)."""


@dataclass
class LabelSmoothedCrossEntropyConfig(CrossEntropyConfig):
    """`label_smoothing` 0 is cross-entropy."""

    _target_: str = "seqexp.criterions.label_smoothed_cross_entropy.LabelSmoothedCrossEntropy"
    label_smoothing: float = 0.1
    """Probability taken from the target."""
    convention: SmoothingConvention = SmoothingConvention.fairseq
    """How it is shared out; with a large vocabulary the two hardly differ."""

    def __post_init__(self) -> None:
        super().__post_init__()
        right = "it must be at least 0 and less than 1"
        require(0 <= self.label_smoothing < 1, "label_smoothing", self.label_smoothing, right)


class LabelSmoothedCrossEntropy(Criterion):
    """The sum over targets that are not padding; the metric `nll_loss` is the sum of -ln p(target)."""

    def __init__(self, config: LabelSmoothedCrossEntropyConfig, *, padding_index: int) -> None:
        super().__init__()
        self.config = config
        self.padding_index = padding_index

    def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
        return summed_cross_entropy(model, batch, self.padding_index, self.config.chunk_size, self._uniform)

    def _uniform(self, vocabulary_size: int) -> float:
        """The weight of the uniform distribution over all words.

        fairseq's targets, 1 - s and s / (V - 1), are torch's, 1 - u + u / V and u / V, with u = s V / (V - 1).
        """
        if self.config.convention == SmoothingConvention.torch:
            return self.config.label_smoothing
        return self.config.label_smoothing * vocabulary_size / (vocabulary_size - 1)
