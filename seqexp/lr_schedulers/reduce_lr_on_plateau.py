"""Lowers the rate when validation does not get better."""

from dataclasses import dataclass
from typing import Any

from seqexp.config.base import require
from seqexp.lr_schedulers.base import LRScheduler, WarmupConfig, warmup


@dataclass
class ReduceLROnPlateauConfig(WarmupConfig):
    """After more than `patience` validations in a row without a better `checkpoint.metric`, the rate is multiplied by
    `shrink`; those of the warm-up do not count. A run that continues another (`checkpoint.continue_from`) begins with
    the optimizer's `lr` again."""

    _target_: str = "seqexp.lr_schedulers.reduce_lr_on_plateau.ReduceLROnPlateau"
    warmup_init_lr: float = 0.0
    """Rate of the first update."""
    shrink: float = 0.1
    patience: int = 0
    """Validations without a better value that change nothing."""
    threshold: float = 1e-4
    """Better is what differs by more than this part of the best value so far."""
    min_lr: float = 0.0
    """The rate does not sink below this."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.shrink < 1, "shrink", self.shrink, "a number between 0 and 1")
        for name in ("warmup_init_lr", "patience", "threshold", "min_lr"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a number not below 0")


class ReduceLROnPlateau(LRScheduler):
    """The rule is that of torch's class of this name, which cannot be had without an optimizer."""

    def __init__(self, config: ReduceLROnPlateauConfig, *, lr: float, max_updates: int | None) -> None:
        self.config, self.lr = config, lr
        self.best: float | None = None
        self.num_not_better = 0
        """Validations since the best one or the last reduction."""

    def lr_at(self, update: int) -> float:
        num_warmup = self.config.warmup_updates
        return warmup(update, num_warmup, self.config.warmup_init_lr, self.lr) if update < num_warmup else self.lr

    def validated(self, update: int, value: float, *, maximize: bool) -> None:
        if update <= self.config.warmup_updates:
            return
        if self._is_better(value, maximize):
            self.best, self.num_not_better = value, 0
            return
        self.num_not_better += 1
        if self.num_not_better > self.config.patience:
            # A rate that is below min_lr from the start stays where it is.
            self.lr = min(self.lr, max(self.lr * self.config.shrink, self.config.min_lr))
            self.num_not_better = 0

    def _is_better(self, value: float, maximize: bool) -> bool:
        if self.best is None:
            return value == value  # not NaN
        if maximize:
            return value > self.best * (1 + self.config.threshold)
        return value < self.best * (1 - self.config.threshold)

    def state(self) -> dict[str, Any]:
        return {"lr": self.lr, "best": self.best, "num_not_better": self.num_not_better}

    def load(self, state: dict[str, Any]) -> None:
        self.lr, self.best, self.num_not_better = state["lr"], state["best"], state["num_not_better"]
