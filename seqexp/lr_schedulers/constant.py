"""A constant rate after an optional warm-up."""

from dataclasses import dataclass

from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, warmup


@dataclass
class ConstantConfig(WarmupConfig):
    """The optimizer's `lr` throughout; a warm-up starts from 0."""

    _target_: str = "seqexp.lr_schedulers.constant.Constant"


class Constant(LRScheduler):
    def __init__(self, config: ConstantConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr = config, lr

    def lr_at(self, update: int) -> float:
        if update < self.config.warmup_updates:
            return warmup(update, self.config.warmup_updates, 0.0, self.lr)
        return self.lr
