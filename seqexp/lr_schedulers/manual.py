"""Rates given for single epochs and updates."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, LRSchedulerConfig


@dataclass
class ManualConfig(LRSchedulerConfig):
    """The optimizer's `lr`, times a scale from certain epochs or updates on: `epochs=[3,10] epoch_scales=[0.5,0.1]`
    halves it with the third epoch. What is said of updates comes before what is said of epochs. (Of fairseq's keys
    "1,4" and "5-9" only the first number counts: a rate holds until the next.)"""

    _target_: str = "seqexp.lr_schedulers.manual.Manual"
    epochs: list[int] = field(default_factory=list)
    """With which epochs the rate changes, in order; the first epoch is 1."""
    epoch_scales: list[float] = field(default_factory=list)
    """What the optimizer's `lr` is multiplied by from each of these on."""
    updates: list[int] = field(default_factory=list)
    """After how many updates the rate changes, in order."""
    update_scales: list[float] = field(default_factory=list)
    """What the optimizer's `lr` is multiplied by from there on."""

    def __post_init__(self) -> None:
        for name, scales_name, first in (("epochs", "epoch_scales", 1), ("updates", "update_scales", 0)):
            starts, scales = getattr(self, name), getattr(self, scales_name)
            rising = all(start >= first for start in starts) and all(a < b for a, b in pairwise(starts))
            require(rising, name, starts, f"whole numbers from {first}, each above the one before")
            sound = len(scales) == len(starts) and all(scale >= 0 for scale in scales)
            require(sound, scales_name, scales, f"as many as {name}, which are {len(starts)}, and none below 0")


class Manual(LRScheduler):
    def __init__(self, config: ManualConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr, self.epoch = config, lr, 0

    def at_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def lr_at(self, update: int) -> float:
        scale = _latest(self.config.updates, self.config.update_scales, update)
        if scale is None:
            scale = _latest(self.config.epochs, self.config.epoch_scales, self.epoch + 1)
        return self.lr if scale is None else self.lr * scale


def _latest(starts: Sequence[int], scales: Sequence[float], now: int) -> float | None:
    """The scale of the last start that is not after `now`."""
    number = bisect_right(starts, now)
    return scales[number - 1] if number else None
