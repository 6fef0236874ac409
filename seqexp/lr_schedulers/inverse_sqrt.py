"""Decay with the inverse square root of the update (Vaswani et al., 2017, section 5.3)."""

from dataclasses import dataclass
from math import sqrt

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, warmup


@dataclass
class InverseSqrtConfig(WarmupConfig):
    """lr * sqrt(warmup_updates / update) after the warm-up."""

    _target_: str = "seqexp.lr_schedulers.inverse_sqrt.InverseSqrt"
    warmup_updates: int = 4000
    warmup_init_lr: float = 0.0
    """Rate of the first update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.warmup_init_lr >= 0, "warmup_init_lr", self.warmup_init_lr, "a number not below 0")


class InverseSqrt(LRScheduler):
    def __init__(self, config: InverseSqrtConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr = config, lr

    def lr_at(self, update: int) -> float:
        num_warmup = self.config.warmup_updates
        if update < num_warmup:
            return warmup(update, num_warmup, self.config.warmup_init_lr, self.lr)
        # Without a warm-up the decay starts from the first update.
        return self.lr * sqrt(max(num_warmup, 1) / max(update, 1))
