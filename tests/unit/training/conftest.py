"""A model of two layers, batches for it, and the update that trains it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqexp.config.build import build
from seqexp.criterions.cross_entropy import CrossEntropyConfig
from seqexp.data.batch import Batch, PairBatch
from seqexp.models.base import Model, ModelOutput
from seqexp.precisions.base import PrecisionConfig
from seqexp.precisions.fp32 import FP32Config
from seqexp.training.step import TrainStep

PAD, NUM_WORDS, WIDTH = 1, 11, 8


class TinyModel(Model):
    """Each target is predicted from the source token above it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(NUM_WORDS, WIDTH)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.1)
        self.output = nn.Linear(WIDTH, NUM_WORDS)

    def forward(self, batch: Batch) -> ModelOutput:
        assert isinstance(batch, PairBatch)
        return ModelOutput(self.output(self.dropout(self.hidden(self.embedding(batch.source_tokens)).relu())))


def make_batch(*rows: list[int], first: int = 0) -> PairBatch:
    """Rows of tokens, padded, that are to be copied; numbered from `first`."""
    tokens = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)
    lengths = torch.tensor([len(row) for row in rows])
    return PairBatch(torch.arange(first, first + len(rows)), int(lengths.sum()), tokens, lengths, tokens, tokens)


@dataclass
class LinesSplit:
    """The texts of the batches."""

    has_references: bool = True

    def source_text(self, number: int) -> str:
        return f"source {number}"

    def references(self, number: int) -> list[str]:
        return [f"reference {number}"]


@pytest.fixture
def batches() -> list[PairBatch]:
    """Two micro-batches: seven targets in two sentences, and two in one."""
    return [make_batch([4, 5, 6, 7, 2], [8, 2]), make_batch([9, 2], first=2)]


@pytest.fixture
def make_step() -> Callable[..., TrainStep]:
    def make(precision: PrecisionConfig | None = None, model: Model | None = None, **options: Any) -> TrainStep:
        torch.manual_seed(0)
        model = model or TinyModel()
        built = build(precision or FP32Config(), device=torch.device("cpu"))
        built.prepare(model)
        values: dict[str, Any] = {
            "criterion": build(CrossEntropyConfig(), padding_index=PAD),
            "optimizer": torch.optim.Adam(built.masters(list(model.parameters())), lr=0.01),
            "device": torch.device("cpu"),
            "clip_norm": None,
            "seed": 1,
        }
        return TrainStep(model=model, precision=built, **{**values, **options})

    return make


def gradients(step: TrainStep) -> dict[str, Tensor]:
    """Those of the weights, or of their masters once they have them."""
    pairs = ((name, weight, step.precision.master(weight)) for name, weight in step.model.named_parameters())
    found = {name: weight.grad if weight.grad is not None else master.grad for name, weight, master in pairs}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}
