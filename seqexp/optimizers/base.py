"""Optimizers: torch's own classes, or ours where torch has none."""

from dataclasses import dataclass

from seqexp.config.base import ComponentConfig, require


@dataclass
class OptimizerConfig(ComponentConfig):
    """Base of all optimizers' configs."""

    lr: float = 5e-4
    """Peak learning rate; the scheduler says what part of it an update uses."""
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr", self.lr, "a number above 0")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "a number not below 0")
