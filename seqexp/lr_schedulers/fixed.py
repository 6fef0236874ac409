"""A rate for each epoch."""

from dataclasses import dataclass, field

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, require_scales, scale_of_epoch, warmup


@dataclass
class FixedConfig(WarmupConfig):
    """Constant within an epoch: the optimizer's `lr` times the epoch's scale, which shrinks from `anneal_from_epoch`
    on. In the warm-up, update n of `warmup_updates` has n / `warmup_updates` of that."""

    _target_: str = "seqexp.lr_schedulers.fixed.Fixed"
    epoch_scales: list[float] = field(default_factory=lambda: [1.0])
    """Of the first epoch, the second, ...; the last is kept. (fairseq lists rates.)"""
    anneal_from_epoch: int | None = None
    """This epoch, the first being 1, and those that follow have `shrink` times the rate of the one before; the first of
    them, that of the last of `epoch_scales`. Null: none. (fairseq's `force_anneal`.)"""
    shrink: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_scales("epoch_scales", self.epoch_scales)
        first = self.anneal_from_epoch
        require(first is None or first > 0, "anneal_from_epoch", first, "an epoch from 1, or null")
        require(self.shrink >= 0, "shrink", self.shrink, "a number not below 0")


class Fixed(LRScheduler):
    def __init__(self, config: FixedConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr, self.epoch = config, lr, 0

    def at_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def lr_at(self, update: int) -> float:
        rate, num_warmup = self._rate_of_epoch(), self.config.warmup_updates
        # The first update has a part of the rate already, unlike in other schedules.
        return warmup(update + 1, num_warmup, 0.0, rate) if update < num_warmup else rate

    def _rate_of_epoch(self) -> float:
        number, first = self.epoch + 1, self.config.anneal_from_epoch
        if first is None or number < first:
            return self.lr * scale_of_epoch(self.config.epoch_scales, self.epoch)
        return float(self.lr * self.config.epoch_scales[-1] * self.config.shrink ** (number - first + 1))
