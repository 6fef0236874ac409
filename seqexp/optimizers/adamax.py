"""AdaMax: Adam with the infinity norm (Kingma and Ba, 2015, section 7.1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqexp.optimizers.adam import AdamBaseConfig
from seqexp.optimizers.rule import Options, RuleOptimizer, State


@dataclass
class AdamaxConfig(AdamBaseConfig):
    """AdaMax with decoupled weight decay, as in fairseq; torch's adds it to the gradient."""

    _target_: str = "seqexp.optimizers.adamax.Adamax"
    lr: float = 2e-3
    bias_correction: bool = True
    """Correct the mean of the gradient for its start at zero (the opposite of fairseq's `no_bias_correction`)."""


class Adamax(RuleOptimizer):
    """w -= lr * weight_decay * w; w -= lr / (1 - b1^t) * mean / (max(b2 * largest, |gradient|) + eps)."""

    def update(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        beta1, beta2 = options["betas"]
        if "mean" not in state:
            state["mean"], state["largest"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        state["mean"].lerp_(gradient, 1 - beta1)
        torch.maximum(state["largest"].mul_(beta2), gradient.abs(), out=state["largest"])
        weight.mul_(1 - options["lr"] * options["weight_decay"])
        correction = 1 - beta1 ** state["step"] if options["bias_correction"] else 1.0
        weight.addcdiv_(state["mean"], state["largest"] + options["eps"], value=-options["lr"] / correction)
