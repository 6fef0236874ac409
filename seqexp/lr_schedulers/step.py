"""Drops by a factor at regular intervals."""

from dataclasses import dataclass

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, warmup


@dataclass
class StepConfig(WarmupConfig):
    """Multiplies the rate by `decay` every `period_updates` updates after the warm-up, down to `min_lr`."""

    _target_: str = "seqexp.lr_schedulers.step.Step"
    warmup_init_lr: float | None = None
    """Rate of the first update; null means `min_lr`."""
    min_lr: float = 0.0
    period_updates: int = 25_000
    """Updates between two drops."""
    decay: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        init = self.warmup_init_lr
        require(init is None or init >= 0, "warmup_init_lr", init, "a number not below 0, or null")
        require(self.min_lr >= 0, "min_lr", self.min_lr, "a number not below 0")
        require(self.period_updates > 0, "period_updates", self.period_updates, "a count above 0")
        require(0 <= self.decay <= 1, "decay", self.decay, "a number from 0 to 1")


class Step(LRScheduler):
    def __init__(self, config: StepConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr = config, lr

    def lr_at(self, update: int) -> float:
        config = self.config
        if update < config.warmup_updates:
            start = config.min_lr if config.warmup_init_lr is None else config.warmup_init_lr
            return warmup(update, config.warmup_updates, start, self.lr)
        num_drops = (update - config.warmup_updates) // config.period_updates
        return max(self.lr * config.decay**num_drops, config.min_lr)
