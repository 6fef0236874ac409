"""Mixed precision with bfloat16, whose range is that of float32: nothing needs to be scaled."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from seqexp.precisions.base import Precision, PrecisionConfig


@dataclass
class BF16Config(PrecisionConfig):
    """Products in bfloat16; weights, gradients, optimizer and loss in 32 bits. The choice for GPUs that support it."""

    _target_: str = "seqexp.precisions.bf16.BF16"


class BF16(Precision):
    """Autocast to bfloat16."""

    product_dtype = torch.bfloat16

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16)
