"""One rise and one fall over the run (Smith and Topin, 2018, arXiv 1708.07120)."""

from dataclasses import dataclass
from enum import StrEnum
from math import cos, pi

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, LRSchedulerConfig, horizon


class Annealing(StrEnum):
    cos = "cos"
    """Half a cosine."""
    linear = "linear"
    """A straight line."""


@dataclass
class OneCycleConfig(LRSchedulerConfig):
    """Up to the optimizer's `lr` and down again, far below the beginning, as torch's OneCycleLR does in two phases; the
    momentum stays as it is."""

    _target_: str = "seqexp.lr_schedulers.one_cycle.OneCycle"
    rising_part: float = 0.3
    """Part of the updates in which the rate rises."""
    initial_scale: float = 0.04
    """The rate begins at this part of its peak."""
    final_scale: float = 4e-6
    """And ends at this part."""
    annealing: Annealing = Annealing.cos
    """How it goes between those: along half a cosine or a straight line."""
    total_updates: int | None = None
    """Updates of the cycle; null means the run's."""

    def __post_init__(self) -> None:
        require(0 <= self.rising_part <= 1, "rising_part", self.rising_part, "a part, from 0 to 1")
        for name in ("initial_scale", "final_scale"):
            require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a part, from 0 to 1")
        total = self.total_updates
        require(total is None or total > 0, "total_updates", total, "a count above 0, or null for the whole run")


class OneCycle(LRScheduler):
    def __init__(self, config: OneCycleConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr = config, lr
        self.total = horizon("total_updates", config.total_updates, max_updates)

    def lr_at(self, update: int) -> float:
        config = self.config
        # The peak is that of the last update of the rise, and the last update of the cycle has the lowest rate.
        peak, end = config.rising_part * self.total - 1, self.total - 1
        if update <= peak:
            return self.lr * self._between(config.initial_scale, 1.0, update / peak if peak else 1.0)
        done = (update - peak) / (end - peak) if update < end else 1.0
        return self.lr * self._between(1.0, config.final_scale, done)

    def _between(self, start: float, end: float, done: float) -> float:
        left = (1 + cos(pi * done)) / 2 if self.config.annealing is Annealing.cos else 1 - done
        return end + (start - end) * left
