"""fairseq's Adam: decoupled weight decay, and an epsilon that is not corrected."""

from dataclasses import dataclass
from math import sqrt

from torch import Tensor

from seqexp.optimizers.adam import AdamBaseConfig
from seqexp.optimizers.rule import Options, RuleOptimizer, State, moments


@dataclass
class AdamFairseqConfig(AdamBaseConfig):
    """What fairseq calls `adam`, for recipes that are to be reproduced to the last digit: `adamw` with another epsilon.
    `adamw` corrects the running size for its start at zero before it adds `eps`, this one after, as if `eps` were eps /
    sqrt(1 - betas[1] ** step) there: 7 times as large at first with the default `betas`, and the same after a few
    hundred updates. Where gradients are much larger than `eps`, as mostly, the two are one, and `adamw` has the
    fused kernel. (fairseq's default `adam_betas` is [0.9, 0.999].)"""

    _target_: str = "seqexp.optimizers.adam_fairseq.AdamFairseq"


class AdamFairseq(RuleOptimizer):
    """w -= lr * weight_decay * w; w -= lr * sqrt(1 - b2^t) / (1 - b1^t) * mean / (sqrt(square) + eps)."""

    def update(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        (beta1, beta2), step = options["betas"], state["step"]
        mean, square = moments(gradient, state, (beta1, beta2))
        weight.mul_(1 - options["lr"] * options["weight_decay"])
        size = options["lr"] * sqrt(1 - beta2**step) / (1 - beta1**step)
        weight.addcdiv_(mean, square.sqrt().add_(options["eps"]), value=-size)
