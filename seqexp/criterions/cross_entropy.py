"""Cross-entropy: the negative log-likelihood of the targets.

Shapes: N targets, D width, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.criterions.base import Criterion, CriterionConfig, LossOutput
from seqexp.criterions.chunked_cross_entropy import chunked_cross_entropy
from seqexp.criterions.smoothed_cross_entropy import smoothed_cross_entropy
from seqexp.data.batch import Batch
from seqexp.models.base import ModelOutput

USUAL_CHUNK_SIZE = 1024


@dataclass
class CrossEntropyConfig(CriterionConfig):
    """The negative log-likelihood of the targets."""

    _target_: str = "seqexp.criterions.cross_entropy.CrossEntropy"
    chunk_size: int | None = None
    """Targets whose scores exist at a time: the scores of all targets of a batch, over a large vocabulary, take more
    memory than the model. 0: those of all targets; null: 1024, or all where the model gives its scores only."""

    def __post_init__(self) -> None:
        right = "a count above 0, 0 for all at once, or null"
        require(self.chunk_size is None or self.chunk_size >= 0, "chunk_size", self.chunk_size, right)


class CrossEntropy(Criterion):
    """The sum of -ln p(target) over the targets that are not padding."""

    def __init__(self, config: CrossEntropyConfig, *, padding_index: int) -> None:
        super().__init__()
        self.config = config
        self.padding_index = padding_index

    def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
        return summed_cross_entropy(model, batch, self.padding_index, self.config.chunk_size)


def summed_cross_entropy(
    model: nn.Module,
    batch: Batch,
    padding_index: int,
    chunk_size: int | None = 0,
    smoothing: Callable[[int], float] | None = None,
) -> LossOutput:
    """The cross-entropy of a model's scores, whole or in chunks.

    Args:
        padding_index: targets that do not count.
        chunk_size: as the option.
        smoothing: gives the weight of the uniform distribution over V words; None for 0.

    Raises:
        ValueError: the batch has no targets, or the model does not give what comes before its scores.
    """
    output, targets = output_and_targets(model, batch)
    states = output.states.flatten(0, 1)
    projection = output.projection if isinstance(output.projection, nn.Linear) else None
    if projection is None and chunk_size:
        right = f"{type(model).__name__} gives its scores only; use criterion.chunk_size=0"
        require(False, "criterion.chunk_size", chunk_size, right)
    if projection is None or chunk_size == 0:
        logits = output.logits.flatten(0, 1)
        uniform = smoothing(logits.shape[1]) if smoothing else 0.0
        loss, nll_loss = smoothed_cross_entropy(logits, targets, uniform, padding_index)
    else:
        uniform = smoothing(projection.out_features) if smoothing else 0.0
        size = USUAL_CHUNK_SIZE if chunk_size is None else chunk_size
        loss, nll_loss = chunked_cross_entropy(states, projection, targets, uniform, padding_index, chunk_size=size)
    return LossOutput(loss, batch.num_targets, {"nll_loss": nll_loss})


def output_and_targets(model: nn.Module, batch: Batch) -> tuple[ModelOutput, Tensor]:
    """A model's output, and the targets that its rows belong to, int64 [N], padding included.

    Raises:
        ValueError: the batch has no targets.
    """
    targets = getattr(batch, "target_tokens", None)
    if targets is None:
        raise ValueError("a loss needs batches with targets: this split has none")
    return model(batch), targets.flatten()
