"""Number formats of training."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from seqexp.config.base import ComponentConfig


@dataclass
class PrecisionConfig(ComponentConfig):
    """Base of all precisions' configs."""


@dataclass
class FP32Config(PrecisionConfig):
    """Everything in 32-bit floating point."""

    _target_: str = "seqexp.training.precision.FP32"


class Precision(ABC):
    """What a number format asks of an update."""

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradient of a scalar loss."""

    @abstractmethod
    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Change the weights by the accumulated gradients."""


class FP32(Precision):
    def __init__(self, config: FP32Config) -> None: ...

    def backward(self, loss: Tensor) -> None:
        torch.autograd.backward(loss)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.step()
