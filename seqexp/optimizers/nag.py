"""Nesterov's accelerated gradient, written for a rate that changes (Bengio et al., 2012, arXiv 1212.0901)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.optimizers.base import SingleOptimizerConfig
from seqexp.optimizers.rule import Options, RuleOptimizer, State


@dataclass
class NAGConfig(SingleOptimizerConfig):
    """SGD with Nesterov's momentum, which is kept as steps and rescaled when the rate changes; decoupled weight decay.
    `sgd` with `nesterov=true` keeps gradients."""

    _target_: str = "seqexp.optimizers.nag.NAG"
    lr: float = 0.1
    momentum: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.momentum < 1, "momentum", self.momentum, "a number from 0 to below 1")


class NAG(RuleOptimizer):
    """With v = momentum * lr / (last lr) * steps: w += momentum * v - (1 + momentum) * lr * g; steps = v - lr * g."""

    def update(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        lr: float = options["lr"]
        momentum: float = options["momentum"]
        steps = state.setdefault("steps", torch.zeros_like(gradient))
        # A last rate of 0 has left no steps to rescale.
        steps.mul_(momentum * lr / state["lr"] if state.get("lr") else 0.0)
        weight.mul_(1 - lr * options["weight_decay"])
        weight.add_(steps, alpha=momentum).add_(gradient, alpha=-(1 + momentum) * lr)
        steps.add_(gradient, alpha=-lr)
        state["lr"] = lr
