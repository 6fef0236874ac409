"""64-bit floating point."""

from dataclasses import dataclass

import torch
from torch import nn

from seqexp.precisions.base import Precision, PrecisionConfig


@dataclass
class FP64Config(PrecisionConfig):
    """Everything in 64-bit floating point: slow, for checks in which rounding must not hide a mistake."""

    _target_: str = "seqexp.precisions.fp64.FP64"


class FP64(Precision):
    """A model in float64."""

    def prepare(self, model: nn.Module) -> None:
        model.to(torch.float64)
