"""bfloat16 throughout, weights and optimizer state included."""

from dataclasses import dataclass

import torch
from torch import nn

from seqexp.precisions.base import Precision, PrecisionConfig


@dataclass
class BF16MemoryEfficientConfig(PrecisionConfig):
    """Weights, gradients and the optimizer's state in bfloat16: half of the memory, but a weight does not move where
    its step is less than about 1/500 of it. The loss and the gradient's norm are computed in 32 bits. (fp16 has no such
    variant: torch's loss scaling needs 32-bit weights.)"""

    _target_: str = "seqexp.precisions.bf16_memory_efficient.BF16MemoryEfficient"


class BF16MemoryEfficient(Precision):
    """A model in bfloat16; the optimizer works on its weights directly."""

    def prepare(self, model: nn.Module) -> None:
        model.to(torch.bfloat16)
