"""Adagrad (Duchi et al., 2011), torch's implementation."""

from dataclasses import dataclass
from typing import ClassVar

from seqexp.config.base import require
from seqexp.optimizers.base import SingleOptimizerConfig


@dataclass
class AdagradConfig(SingleOptimizerConfig):
    """Divides by the root of the sum of all squared gradients; weight decay is added to the gradient (L2)."""

    fields_as_arguments: ClassVar[bool] = True

    _target_: str = "torch.optim.Adagrad"
    lr: float = 0.01
    initial_accumulator_value: float = 0.0
    """What the sum of squares begins with."""
    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("initial_accumulator_value", "eps"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a number not below 0")
