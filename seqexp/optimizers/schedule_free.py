"""Schedule-Free AdamW (Defazio et al., 2024, arXiv 2405.15682)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.optimizers.adam import AdamBaseConfig
from seqexp.optimizers.rule import Options, RuleOptimizer, State


@dataclass
class ScheduleFreeConfig(AdamBaseConfig):
    """AdamW that needs no decaying rate: it evaluates and saves a running average of the weights. Use it with
    `lr_scheduler=constant` and a warm-up. Weight decay is that of the weights which the gradient is taken at."""

    _target_: str = "seqexp.optimizers.schedule_free.ScheduleFree"
    r: float = 0.0
    """Update t has the weight t ** r in the average."""
    lr_power: float = 2.0
    """Times the highest rate so far to this power, so that a warm-up counts little."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.betas[0] > 0, "betas", self.betas, "the first above 0")
        for name in ("r", "lr_power"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a number not below 0")


class ScheduleFree(RuleOptimizer):
    """The model has the weights y that gradients are taken at; `fast` is z, and x, for evaluation, follows from both.

    g = gradient / (sqrt(square / (1 - b2^t)) + eps) + weight_decay * y
    z' = z - lr * g,    x' = (1 - c) * x + c * z',    y' = (1 - b1) * z' + b1 * x'

    with c = the weight of this update / that of all so far. This is what the authors' library computes.
    """

    def update(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        (beta1, beta2), step, lr = options["betas"], state["step"], options["lr"]
        if "fast" not in state:
            state |= {"fast": weight.clone(), "square": torch.zeros_like(weight), "highest_lr": 0.0, "sum": 0.0}
        state["highest_lr"] = max(lr, state["highest_lr"])
        share = step ** options["r"] * state["highest_lr"] ** options["lr_power"]
        state["sum"] += share
        share = share / state["sum"] if state["sum"] else 0.0
        square, fast = state["square"], state["fast"]
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        change = gradient / square.div(1 - beta2**step).sqrt_().add_(options["eps"])
        change.add_(weight, alpha=options["weight_decay"])
        # y' by y and z alone: x is not kept.
        weight.lerp_(fast, share).add_(change, alpha=lr * (beta1 * (1 - share) - 1))
        fast.sub_(change, alpha=lr)

    @torch.no_grad()
    def eval(self) -> None:
        """Give the model the weights x. What it had is kept as it is: computed back, it would differ in the last
        bit."""
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state.get(weight, {})
                if "fast" in state and "trained" not in state:
                    state["trained"] = weight.clone()
                    weight.lerp_(state["fast"], 1 - 1 / group["betas"][0])

    @torch.no_grad()
    def train(self) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                trained = self.state.get(weight, {}).pop("trained", None)
                if trained is not None:
                    weight.copy_(trained)

    def load_state_dict(self, state_dict: State) -> None:
        super().load_state_dict(state_dict)
        self.train()
