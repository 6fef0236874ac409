"""Adafactor (Shazeer and Stern, 2018, arXiv 1804.04235)."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.distributed.tensors import shared_out_as, whole
from seqexp.optimizers.base import SingleOptimizerConfig
from seqexp.optimizers.rule import Options, RuleOptimizer, State


@dataclass
class AdafactorConfig(SingleOptimizerConfig):
    """Adam whose running squares are kept as row and column means for weights of two dimensions and more. torch's class
    has other rules for step size and decay. The paper's own step sizes (fairseq's `relative_step`) are a schedule:
    `lr_scheduler=inverse_sqrt lr_scheduler.warmup_updates=10000 optimizer.lr=0.01`, which rises by 1e-6 an update
    (`warmup_init`), or is constant at first with `lr_scheduler.warmup_init_lr=0.01`."""

    _target_: str = "seqexp.optimizers.adafactor.Adafactor"
    lr: float = 0.01
    scale_parameter: bool = True
    """Multiply the rate by the root mean square of the weights, at least `eps[1]` (fairseq's default is false)."""
    eps: list[float] = field(default_factory=lambda: [1e-30, 1e-3])
    """Added to squared gradients; least size of weights that `scale_parameter` multiplies by."""
    clip_threshold: float = 1.0
    """Largest root mean square of a weight's update, before it is multiplied by the rate."""
    decay_rate: float = 0.8
    """The running squares keep 1 - step ** -decay_rate of what they were."""
    beta1: float | None = None
    """Decay of a running mean of the updates; null: none, which saves memory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.eps) == 2 and min(self.eps) >= 0, "eps", self.eps, "two numbers not below 0")
        require(self.clip_threshold > 0, "clip_threshold", self.clip_threshold, "a number above 0")
        require(0 < self.decay_rate <= 1, "decay_rate", self.decay_rate, "a number above 0, at most 1")
        require(self.beta1 is None or 0 < self.beta1 < 1, "beta1", self.beta1, "between 0 and 1, or null")


class Adafactor(RuleOptimizer):
    """Algorithms 4 and 5 of the paper, with decoupled weight decay. Where the rows of a weight are shared out over
    processes, each keeps all row and column means, which are small."""

    def update(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        kept = 1 - state["step"] ** -options["decay_rate"]
        step = gradient * _inverse_size(gradient.square().add_(options["eps"][0]), state, kept)
        step.div_((_root_mean_square(step) / options["clip_threshold"]).clamp_(min=1.0))
        lr: Tensor | float = options["lr"]
        if options["scale_parameter"]:
            lr = _root_mean_square(weight).clamp_(min=options["eps"][1]) * lr
        step.mul_(lr)
        if options["beta1"] is not None:
            step = state.setdefault("mean", torch.zeros_like(step)).lerp_(step, 1 - options["beta1"])
        weight.sub_(weight * (lr * options["weight_decay"])).sub_(step)


def _inverse_size(square: Tensor, state: State, kept: float) -> Tensor:
    """1 / sqrt of the running mean of squared gradients, of which `kept` is the part that was there before."""
    if square.dim() < 2:
        mean: Tensor = state.setdefault("square", torch.zeros_like(square))
        return mean.lerp_(square, 1 - kept).rsqrt()
    # Sums over the size: a process without rows would have a mean that is not a number.
    row_means = whole(square.sum(dim=-1)) / square.shape[-1]
    column_means = whole(square.sum(dim=-2)) / square.shape[-2]
    rows: Tensor = state.setdefault("rows", torch.zeros_like(row_means)).lerp_(row_means, 1 - kept)
    columns: Tensor = state.setdefault("columns", torch.zeros_like(column_means)).lerp_(column_means, 1 - kept)
    row_factor = (rows / rows.mean(dim=-1, keepdim=True)).rsqrt_()
    return shared_out_as(row_factor.unsqueeze(-1) * columns.rsqrt().unsqueeze(-2), square)


def _root_mean_square(x: Tensor) -> Tensor:
    """Of all of a tensor, a scalar."""
    return (whole(x.square().sum()) / x.numel()).sqrt()
