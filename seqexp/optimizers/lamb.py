"""LAMB: Adam with a step in proportion to each weight's size (You et al., 2020, arXiv 1904.00962)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqexp.distributed.tensors import whole
from seqexp.optimizers.adam import AdamBaseConfig
from seqexp.optimizers.rule import Options, RuleOptimizer, State, moments


@dataclass
class LambConfig(AdamBaseConfig):
    """For very large batches; weight decay is part of the step that is scaled."""

    _target_: str = "seqexp.optimizers.lamb.Lamb"
    always_adapt: bool = True
    """False: parameters without weight decay take plain Adam steps, as in apex, which fairseq uses; with the default
    `weight_decay` those are all."""


class Lamb(RuleOptimizer):
    """With u = Adam's step + weight_decay * w: w -= lr * |w| / |u| * u, the norms being those of one parameter."""

    def update(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        (beta1, beta2), step = options["betas"], state["step"]
        mean, square = moments(gradient, state, (beta1, beta2))
        size = square.div(1 - beta2**step).sqrt_().add_(options["eps"])
        change = mean.div(1 - beta1**step).div_(size).add_(weight, alpha=options["weight_decay"])
        if options["always_adapt"] or options["weight_decay"]:
            ratio = whole(torch.linalg.vector_norm(weight)) / whole(torch.linalg.vector_norm(change))
            # A weight that is 0, or one that is not to move, has no ratio.
            change.mul_(torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0))
        weight.sub_(change, alpha=options["lr"])
