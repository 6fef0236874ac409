"""Criterions turn a model's scores into a loss to minimise."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor, nn

from seqexp.config.base import ComponentConfig
from seqexp.data.batch import Batch


@dataclass
class CriterionConfig(ComponentConfig):
    """Base of all criterions' configs."""


@dataclass(frozen=True)
class LossOutput:
    """A loss over one micro-batch. Sums, never means: the trainer divides by the count of the whole update."""

    sum: Tensor
    """Loss in nats summed over targets, a scalar with gradient."""
    num_targets: int
    """What `sum` is divided by, once added up over micro-batches and ranks."""
    metrics: dict[str, Tensor] = field(default_factory=dict)
    """Further sums over the same targets (e.g. `nll_loss`), scalars without gradient."""


class Criterion(nn.Module, ABC):
    """`criterion(model, batch) -> LossOutput`. Knows nothing of ranks, precision or logging."""

    @abstractmethod
    def forward(self, model: nn.Module, batch: Batch) -> LossOutput: ...
