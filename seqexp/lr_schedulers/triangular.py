"""Up and down in cycles (Smith, 2017, arXiv 1506.01186)."""

from dataclasses import dataclass
from math import floor

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, LRSchedulerConfig


@dataclass
class TriangularConfig(LRSchedulerConfig):
    """Straight from `min_lr` up to the optimizer's `lr` and back in each period. (fairseq's `lr` is the lowest rate and
    its `max_lr` the highest.)"""

    _target_: str = "seqexp.lr_schedulers.triangular.Triangular"
    min_lr: float = 0.0
    """Lowest rate."""
    period_updates: int = 5000
    """Updates of a cycle."""
    shrink: float = 0.1
    """Each cycle's highest rate is this part of that of the one before."""
    shrink_min: bool = False
    """The lowest rate too."""

    def __post_init__(self) -> None:
        require(self.min_lr >= 0, "min_lr", self.min_lr, "a number not below 0")
        require(self.period_updates > 1, "period_updates", self.period_updates, "a count above 1")
        require(self.shrink >= 0, "shrink", self.shrink, "a number not below 0")


class Triangular(LRScheduler):
    def __init__(self, config: TriangularConfig, *, lr: float, max_updates: int | None) -> None:
        if config.min_lr >= lr:
            raise ValueError(
                f"lr_scheduler.min_lr={config.min_lr:g} must be below optimizer.lr={lr:g}, the highest rate"
            )
        self.config, self.lr = config, lr

    def lr_at(self, update: int) -> float:
        half = self.config.period_updates // 2
        cycle = floor(update / (2 * half))
        scale = self.config.shrink**cycle
        lowest = self.config.min_lr * (scale if self.config.shrink_min else 1.0)
        distance = abs(update / half - 2 * (cycle + 1) + 1)
        return float(lowest + (self.lr * scale - lowest) * max(0.0, 1 - distance))
