from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from seqexp.data.batch import Batch, PairBatch
from seqexp.models.base import ModelOutput

PAD = 1


@dataclass
class Example:
    """A "model" that gives these logits, [B, T, V], and the batch that it is called with."""

    logits: Tensor
    batch: PairBatch

    @property
    def model(self) -> nn.Module:
        return _Constant(self.logits)


class _Constant(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, batch: Batch) -> ModelOutput:
        return ModelOutput(self.logits)


@pytest.fixture
def example() -> Example:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(2, 4, 7, generator=generator).requires_grad_()
    return Example(logits, batch_of(torch.tensor([[4, 5, 6, 2], [6, 2, PAD, PAD]])))


def batch_of(targets: Tensor) -> PairBatch:
    rows = torch.arange(len(targets))
    return PairBatch(rows, int(targets.ne(PAD).sum()), rows[:, None], torch.ones_like(rows), targets, targets)
