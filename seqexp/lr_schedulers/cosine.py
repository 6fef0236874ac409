"""Cosine annealing with warm restarts (SGDR, Loshchilov and Hutter, 2017)."""

from dataclasses import dataclass
from math import cos, floor, log, pi

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, horizon, warmup


@dataclass
class CosineConfig(WarmupConfig):
    """From the peak down to `min_lr` along half a cosine, once over the run or in periods."""

    _target_: str = "seqexp.lr_schedulers.cosine.Cosine"
    warmup_updates: int = 200
    warmup_init_lr: float | None = None
    """Rate of the first update; null means `min_lr`."""
    min_lr: float = 0.0
    period_updates: int | None = None
    """Updates of the first period; null means all that follow the warm-up."""
    period_growth: float = 1.0
    """Each period is this many times as long as the one before."""
    shrink: float = 0.1
    """Each period's highest and lowest rate are this part of those of the one before."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.min_lr >= 0, "min_lr", self.min_lr, "a number not below 0")
        require(self.period_growth >= 1, "period_growth", self.period_growth, "a number from 1")
        require(
            self.period_updates is None or self.period_updates > 0,
            "period_updates",
            self.period_updates,
            "a count above 0, or null for the whole run",
        )


class Cosine(LRScheduler):
    def __init__(self, config: CosineConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.max_lr, self.min_lr = config, lr, min(config.min_lr, lr)
        rest = None if max_updates is None else max(max_updates - config.warmup_updates, 1)
        self.period = horizon("period_updates", config.period_updates, rest)

    def lr_at(self, update: int) -> float:
        num_warmup = self.config.warmup_updates
        if update < num_warmup:
            start = self.min_lr if self.config.warmup_init_lr is None else self.config.warmup_init_lr
            return warmup(update, num_warmup, start, self.max_lr)
        number, position, length = self._period_of(update - num_warmup)
        scale = self.config.shrink**number
        return scale * (self.min_lr + 0.5 * (self.max_lr - self.min_lr) * (1 + cos(pi * position / length)))

    def _period_of(self, update: int) -> tuple[int, float, float]:
        """Number of the period, position in it and its length, counted in updates after the warm-up."""
        growth = self.config.period_growth
        if growth == 1:
            number = update // self.period
            return number, update - self.period * number, self.period
        # The sum of a geometric series, 1 + growth + ..., solved for the number of its terms.
        number = floor(log(1 - update / self.period * (1 - growth), growth))
        start = (1 - growth**number) / (1 - growth) * self.period
        return number, update - start, growth**number * self.period
