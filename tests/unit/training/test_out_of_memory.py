from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from seqexp.criterions.base import Criterion, LossOutput
from seqexp.data.batch import Batch, PairBatch
from seqexp.runtime.errors import UserError
from seqexp.training.config import BatchConfig
from seqexp.training.memory import ActivationCheckpoint, MemoryConfig
from seqexp.training.metrics import MetricBag
from seqexp.training.out_of_memory import is_out_of_memory, out_of_memory_told
from seqexp.training.progress import Progress
from seqexp.training.share import Share
from seqexp.training.step import TrainStep

from .conftest import gradients

CPU_MESSAGE = "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"


class Hungry(Criterion):
    """A loss that runs out of memory at micro-batch `at`."""

    def __init__(self, error: BaseException, at: int) -> None:
        super().__init__()
        self.error, self.at, self.calls = error, at, 0

    def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
        self.calls += 1
        if self.calls > self.at:
            raise self.error
        return LossOutput(model(batch).logits.sum(), batch.num_targets)


class Config:
    """What the message looks at of the config."""

    def __init__(self, **batch: Any) -> None:
        self.memory = MemoryConfig()
        self.batch = BatchConfig(**batch)
        self.criterion = type("Criterion", (), {"chunk_size": 0})()


def message_of(step: TrainStep, batches: list[PairBatch], config: Any) -> str:
    progress = Progress(update=7, epoch=1)
    with pytest.raises(UserError) as raised, out_of_memory_told(step, Share.whole(batches), progress, config):
        step(Share.whole(batches), 7, 0.1, MetricBag())
    return str(raised.value)


@pytest.mark.parametrize(
    "error", [RuntimeError(CPU_MESSAGE), torch.OutOfMemoryError("CUDA out of memory."), MemoryError()]
)
@pytest.mark.parametrize("at", [0, 1])
def test_the_message(
    make_step: Callable[..., TrainStep], batches: list[PairBatch], error: BaseException, at: int
) -> None:
    step = make_step(criterion=Hungry(error, at))
    shape = ["2 sentences x 5 source x 5 target tokens; examples 0, 1", "1 sentences x 2 source x 2 target tokens"][at]
    message = message_of(step, batches, Config(max_tokens=100))
    assert message.startswith(f"update 7: epoch 2, micro-batch {at + 1} of 2 ({shape}")
    assert "does not fit into memory: the same command with memory.activation_checkpoint=full" in message
    assert "criterion.chunk_size=null goes on" in message
    assert message.endswith("a new run may have batch.max_tokens below 100, or batch.fit=true")
    assert "\n" not in message
    assert gradients(step) == {}
    assert not step.criterion._forward_pre_hooks


def test_what_is_done_already_is_not_advised(make_step: Callable[..., TrainStep], batches: list[PairBatch]) -> None:
    config = Config(max_tokens=None, max_sentences=50)
    config.memory = MemoryConfig(activation_checkpoint=ActivationCheckpoint.full)
    config.criterion.chunk_size = None
    message = message_of(make_step(criterion=Hungry(MemoryError(), 0)), batches, config)
    assert message.endswith("fit into memory: a new run may have batch.max_sentences below 50, or batch.fit=true")


def test_the_tensors_of_the_update_are_freed(make_step: Callable[..., TrainStep], batches: list[PairBatch]) -> None:
    """Also while the error is still looked at, as in a notebook or between the jobs of a sweep."""
    import weakref

    kept: list[weakref.ref[torch.Tensor]] = []

    class Large(Hungry):
        def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
            scores = model(batch).logits
            kept.append(weakref.ref(scores))
            return super().forward(model, batch)

    step = make_step(criterion=Large(RuntimeError(CPU_MESSAGE), 0))
    with pytest.raises(UserError) as raised, out_of_memory_told(step, Share.whole(batches), Progress(), Config()):  # type: ignore[arg-type]
        step(Share.whole(batches), 0, 0.1, MetricBag())
    assert str(raised.value)
    assert kept[0]() is None


def test_other_errors_are_left_alone(make_step: Callable[..., TrainStep], batches: list[PairBatch]) -> None:
    step = make_step(criterion=Hungry(RuntimeError("shapes do not match"), 0))
    config: Any = Config()
    with (
        pytest.raises(RuntimeError, match="shapes"),
        out_of_memory_told(step, Share.whole(batches), Progress(), config),
    ):
        step(Share.whole(batches), 0, 0.1, MetricBag())
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    with out_of_memory_told(make_step(), Share.whole(batches), Progress(), config):
        pass
