"""Optimizers: torch's own classes, or ours where torch has none."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

import torch
from omegaconf import MISSING

from seqexp.config.base import ComponentConfig, require
from seqexp.lr_schedulers.base import LRSchedulerConfig


@dataclass
class OptimizerConfig(ComponentConfig):
    """Base of all optimizers' configs."""

    def groups_of_parameters(self) -> "Mapping[str, ParameterGroupConfig]":
        """By name, the groups that have an optimizer each; none where one treats all parameters."""
        return {}


@dataclass
class SingleOptimizerConfig(OptimizerConfig):
    """Base of the configs of optimizers that treat all parameters by one rule."""

    other_fields: ClassVar[frozenset[str]] = frozenset({"no_decay"})

    lr: float = 5e-4
    """Peak learning rate; the scheduler says what part of it an update uses."""
    weight_decay: float = 0.0
    """How much of the weights an update takes away; the optimizer says how."""
    no_decay: list[str] = field(default_factory=list)
    """Parameters without weight decay: names of kinds (`bias`; `norm`, those of normalisation layers; `embedding`) and
    patterns such as `encoder.*`, in which `*` stands for anything. Often `[norm, bias]`."""

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr", self.lr, "a number above 0")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "a number not below 0")


@dataclass
class ParameterGroupConfig:
    """Some of the parameters, with an optimizer of their own."""

    parameters: list[str] | None = None
    """Kinds and patterns as in `no_decay`; null: all that no other group names."""
    optimizer: SingleOptimizerConfig = MISSING
    lr_scheduler: LRSchedulerConfig | None = None
    """Null: that of the run, with this optimizer's `lr`."""

    def __post_init__(self) -> None:
        require(self.parameters != [], "parameters", self.parameters, "at least one pattern, or null for all the rest")


@runtime_checkable
class TrainsOtherWeights(Protocol):
    """An optimizer under which a model trains with other weights than those it is evaluated and saved with.

    Its state dict must be taken between `eval` and `train`, and be loaded after the weights that were saved with it.
    """

    def eval(self) -> None:
        """Give the model the weights to evaluate and save; once more changes nothing."""

    def train(self) -> None:
        """Give it back exactly the weights that it had before."""


def trains_other_weights(optimizer: torch.optim.Optimizer) -> bool:
    """Whether it, or one of those that it is made of, does."""
    parts = getattr(optimizer, "optimizers", [optimizer])
    return any(isinstance(part, TrainsOtherWeights) for part in parts)


@contextmanager
def weights_to_evaluate(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Within, the model has the weights that are validated and saved; most optimizers train those."""
    if not isinstance(optimizer, TrainsOtherWeights):
        yield
        return
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()
