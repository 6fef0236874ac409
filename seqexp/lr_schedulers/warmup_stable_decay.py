"""Warm-up, a long plateau, and a short decay (Hu et al., 2024, arXiv 2404.06395; Hägele et al., 2024, arXiv
2405.18392)."""

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, horizon, warmup


class DecayShape(StrEnum):
    """The rate in the decay, as a part of the peak; x goes from 0 to 1."""

    linear = "linear"
    """1 - x."""
    one_minus_sqrt = "one_minus_sqrt"
    """1 - sqrt(x)."""


@dataclass
class WarmupStableDecayConfig(WarmupConfig):
    """The optimizer's `lr` but for a warm-up from 0 and a decay at the end. A run that is to become longer continues
    from a checkpoint of the plateau."""

    _target_: str = "seqexp.lr_schedulers.warmup_stable_decay.WarmupStableDecay"
    decay_updates: int | None = None
    """Updates of the decay; null: a fifth of `total_updates`."""
    shape: DecayShape = DecayShape.one_minus_sqrt
    """`linear`, or `one_minus_sqrt`, which falls fast first."""
    final_scale: float = 0.0
    """The decay ends at this part of the peak."""
    total_updates: int | None = None
    """Update at which the decay ends; null means the run's end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("decay_updates", "total_updates"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "a count above 0, or null")
        require(0 <= self.final_scale <= 1, "final_scale", self.final_scale, "a part, from 0 to 1")


class WarmupStableDecay(LRScheduler):
    def __init__(self, config: WarmupStableDecayConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr = config, lr
        self.total = horizon("total_updates", config.total_updates, max_updates)
        self.num_decay = max(self.total // 5, 1) if config.decay_updates is None else config.decay_updates
        if config.warmup_updates + self.num_decay > self.total:
            raise ValueError(
                f"lr_scheduler.warmup_updates={config.warmup_updates} and {self.num_decay} updates of decay are more "
                f"than the {self.total} of the schedule"
            )

    def lr_at(self, update: int) -> float:
        if update < self.config.warmup_updates:
            return warmup(update, self.config.warmup_updates, 0.0, self.lr)
        x = min(max((update - self.total) / self.num_decay + 1, 0.0), 1.0)
        left = 1 - (x if self.config.shape is DecayShape.linear else sqrt(x))
        return self.lr * (self.config.final_scale + (1 - self.config.final_scale) * left)
