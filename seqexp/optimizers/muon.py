"""Muon: orthogonalised momentum for matrices (Jordan et al., 2024), torch's implementation."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from seqexp.config.base import require
from seqexp.optimizers.base import SingleOptimizerConfig


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

    fields_as_arguments: ClassVar[bool] = True

    _target_: str = "torch.optim.Muon"
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
