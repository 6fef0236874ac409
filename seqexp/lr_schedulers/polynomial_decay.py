"""Polynomial decay to a final rate."""

from dataclasses import dataclass, field

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, horizon, require_scales, scale_of_epoch, warmup


@dataclass
class PolynomialDecayConfig(WarmupConfig):
    """(lr - end_lr) * (1 - progress) ** power + end_lr after the warm-up; `power` 1 is linear."""

    _target_: str = "seqexp.lr_schedulers.polynomial_decay.PolynomialDecay"
    end_lr: float = 0.0
    power: float = 1.0
    total_updates: int | None = None
    """Update at which `end_lr` is reached; null means the run's end."""
    epoch_scales: list[float] = field(default_factory=lambda: [1.0])
    """What the peak, the optimizer's `lr`, is multiplied by in the first epoch, in the second, ...; the last is kept.
    (fairseq's list of rates; there the first epoch has the second rate.)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.end_lr >= 0, "end_lr", self.end_lr, "a number not below 0")
        require(self.power > 0, "power", self.power, "a number above 0")
        require(
            self.total_updates is None or self.total_updates > self.warmup_updates,
            "total_updates",
            self.total_updates,
            f"more than the {self.warmup_updates} updates of the warm-up, or null for the whole run",
        )
        require_scales("epoch_scales", self.epoch_scales)


class PolynomialDecay(LRScheduler):
    def __init__(self, config: PolynomialDecayConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.peak, self.epoch = config, lr, 0
        self.total = horizon("total_updates", config.total_updates, max_updates)

    def at_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def lr_at(self, update: int) -> float:
        num_warmup = self.config.warmup_updates
        peak = self.peak * scale_of_epoch(self.config.epoch_scales, self.epoch)
        if update < num_warmup:
            return warmup(update, num_warmup, 0.0, peak)
        if update >= self.total:
            return self.config.end_lr
        left: float = 1 - (update - num_warmup) / (self.total - num_warmup)
        return float((peak - self.config.end_lr) * left**self.config.power + self.config.end_lr)
