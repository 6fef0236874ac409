"""Stochastic gradient descent, torch's implementation."""

from dataclasses import dataclass
from typing import ClassVar

from seqexp.config.base import require
from seqexp.optimizers.base import SingleOptimizerConfig


@dataclass
class SGDConfig(SingleOptimizerConfig):
    """SGD with momentum; weight decay is added to the gradient (L2)."""

    fields_as_arguments: ClassVar[bool] = True

    _target_: str = "torch.optim.SGD"
    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.momentum >= 0, "momentum", self.momentum, "a number not below 0")
        require(
            not self.nesterov or self.momentum > 0,
            "nesterov",
            self.nesterov,
            "it needs optimizer.momentum above 0",
        )
