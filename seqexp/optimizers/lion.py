"""Lion: the sign of an interpolated gradient (Chen et al., 2023, arXiv 2302.06675)."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqexp.optimizers.adam import require_betas
from seqexp.optimizers.base import SingleOptimizerConfig
from seqexp.optimizers.rule import Options, RuleOptimizer, State


@dataclass
class LionConfig(SingleOptimizerConfig):
    """Half of Adam's memory; wants 3 to 10 times smaller rates and as many times larger weight decay (decoupled)."""

    _target_: str = "seqexp.optimizers.lion.Lion"
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])
    """Part of the running mean in the step; decay of the running mean."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_betas(self.betas)


class Lion(RuleOptimizer):
    """w -= lr * (sign(b1 * mean + (1 - b1) * g) + weight_decay * w); mean = b2 * mean + (1 - b2) * g."""

    def update(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        beta1, beta2 = options["betas"]
        mean = state.setdefault("mean", torch.zeros_like(gradient))
        weight.mul_(1 - options["lr"] * options["weight_decay"])
        weight.sub_(mean.lerp(gradient, 1 - beta1).sign_(), alpha=options["lr"])
        mean.lerp_(gradient, 1 - beta2)
