"""Adadelta (Zeiler, 2012), torch's implementation."""

from dataclasses import dataclass
from typing import ClassVar

from seqexp.config.base import require
from seqexp.optimizers.base import SingleOptimizerConfig


@dataclass
class AdadeltaConfig(SingleOptimizerConfig):
    """Steps of the size of earlier steps, times `lr`; weight decay is added to the gradient (L2)."""

    fields_as_arguments: ClassVar[bool] = True

    _target_: str = "torch.optim.Adadelta"
    lr: float = 1.0
    rho: float = 0.9
    """Decay of the running means of squared gradients and squared steps."""
    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.rho < 1, "rho", self.rho, "a number from 0 to below 1")
        require(self.eps > 0, "eps", self.eps, "a number above 0")
