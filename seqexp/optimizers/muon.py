"""Muon: orthogonalised momentum for matrices (Jordan et al., 2024), torch's implementation."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.config.build import arguments
from seqexp.distributed.tensors import is_shared_out, shared_out_as, whole
from seqexp.optimizers.base import SingleOptimizerConfig
from seqexp.optimizers.rule import Options, Params, State


class MuonScale(StrEnum):
    """What a step's size is matched to."""

    match_rms_adamw = "match_rms_adamw"
    """0.2 * sqrt(larger dimension): AdamW's steps, so that its rates and weight decay fit (Liu et al. 2025, arXiv
    2502.16982)."""
    original = "original"
    """sqrt(max(1, rows / columns)): the author's, for rates of about 0.02."""


@dataclass
class MuonConfig(SingleOptimizerConfig):
    """For the weight matrices of hidden layers and nothing else: the preset `optimizer=muon` is a `composite` of it and
    `adamw` for the rest. Decoupled weight decay. It multiplies matrices at every update, which is for GPUs."""

    _target_: str = "seqexp.optimizers.muon.Muon"
    lr: float = 4e-3
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_steps: int = 5
    """Newton-Schulz iterations, which orthogonalise the momentum."""
    adjust_lr_fn: MuonScale = MuonScale.match_rms_adamw
    """`match_rms_adamw`: rates as with `adamw`; `original`: those of the author, about 0.02."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.momentum < 1, "momentum", self.momentum, "a number from 0 to below 1")
        require(0 < self.ns_steps < 100, "ns_steps", self.ns_steps, "a count from 1 to 99")


class Muon(torch.optim.Muon):
    """torch's, also for matrices whose rows are shared out over processes: each process orthogonalises all of a
    matrix's momentum, as it can only be done to the whole, and changes its rows."""

    def __init__(self, config: MuonConfig, *, params: Params) -> None:
        super().__init__(params, **arguments(config))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        weights = [weight for group in self.param_groups for weight in group["params"]]
        if not any(map(is_shared_out, weights)):
            loss: float | None = super().step(closure)  # type: ignore[no-untyped-call]
            return loss
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._step(weight, weight.grad, self.state[weight], group)
        return loss

    def _step(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        """That of one weight, of which everything but the orthogonalisation is each process' own affair."""
        momentum = state.setdefault("momentum_buffer", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - options["momentum"])
        direction = gradient.lerp(momentum, options["momentum"]) if options["nesterov"] else momentum
        all_rows = whole(direction)
        change = nn.Parameter(torch.zeros_like(all_rows))
        change.grad = all_rows
        others = {name: value for name, value in options.items() if name in self.defaults}
        alone = torch.optim.Muon([change], **{**others, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0})
        alone.step()  # type: ignore[no-untyped-call]
        weight.mul_(1 - options["lr"] * options["weight_decay"]).add_(shared_out_as(change.detach(), weight))
