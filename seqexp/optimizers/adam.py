"""Adam (Kingma and Ba, 2015), torch's implementation."""

from dataclasses import dataclass, field
from typing import ClassVar

from seqexp.config.base import require
from seqexp.optimizers.base import SingleOptimizerConfig


@dataclass
class AdamBaseConfig(SingleOptimizerConfig):
    """Base of Adam and its relatives, which divide a running mean of the gradient by its running size."""

    lr: float = 4e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    """Decay of the running mean of the gradient and of its square."""
    eps: float = 1e-8
    """Added to the divisor."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_betas(self.betas)
        require(self.eps > 0, "eps", self.eps, "a number above 0")


@dataclass
class AdamConfig(AdamBaseConfig):
    """Adam; weight decay is added to the gradient (L2). `adamw` decouples it; fairseq's `adam` is `adam_fairseq`."""

    fields_as_arguments: ClassVar[bool] = True

    _target_: str = "torch.optim.Adam"
    fused: bool = True
    """One kernel for all parameters: the fastest on CPU and GPU."""


def require_betas(betas: list[float]) -> None:
    right = "two numbers from 0 to below 1"
    require(len(betas) == 2 and all(0 <= beta < 1 for beta in betas), "betas", betas, right)
