import numpy as np
import pytest
import torch

from seqexp.data.batch import Batch
from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order
from seqexp.training.config import BatchConfig
from seqexp.training.data import EpochData

SIZES = np.random.default_rng(3).integers(2, 30, 200)


class Sizes:
    has_references = False

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> "Sizes":
        return self

    def __len__(self) -> int:
        return len(SIZES)

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return EpochPlan(SIZES, None, limits, order=order, seed=seed, epoch=epoch)

    def collate(self, numbers: Integers) -> Batch:
        return Batch(torch.as_tensor(numbers), int(SIZES[numbers].sum()))

    def source_text(self, number: int) -> str:
        return ""

    def references(self, number: int) -> list[str]:
        return []


LIMITS = BatchLimits(max_tokens=20)


class StubSplit:
    """Examples that are longer in later epochs."""

    has_references = False
    alive = 0

    def __init__(self, epoch: int = 0) -> None:
        self.number = epoch
        self.sizes = np.full(10, 2 + epoch, np.int32)
        StubSplit.alive += 1

    def __del__(self) -> None:
        StubSplit.alive -= 1

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> "StubSplit":
        assert (seed, limits, num_workers) == (3, LIMITS, 0)
        assert StubSplit.alive == 1, "the epoch before is still there"
        return StubSplit(epoch)

    def __len__(self) -> int:
        return len(self.sizes)

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return EpochPlan(self.sizes, None, limits, order=order, seed=seed, epoch=epoch)

    def collate(self, numbers: Integers) -> Batch:
        return Batch(indices=torch.from_numpy(numbers.astype(np.int64)), num_targets=self.number)

    def source_text(self, number: int) -> str:
        return ""

    def references(self, number: int) -> list[str]:
        return []


def longest(data: EpochData, epoch: int) -> list[int]:
    """Size of each batch's longest example."""
    return [int(SIZES[batch.indices].max()) for batch in data.micro_batches(epoch, 0)]


def test_a_curriculum_begins_with_short_examples() -> None:
    data = EpochData(Sizes(), BatchLimits(max_tokens=100), BatchConfig(curriculum=2), seed=1)
    for epoch in (0, 1):
        assert longest(data, epoch) == sorted(longest(data, epoch))
    assert longest(data, 2) != sorted(longest(data, 2))
    plain = EpochData(Sizes(), BatchLimits(max_tokens=100), BatchConfig(), seed=1)
    assert longest(data, 2) == longest(plain, 2)


def test_a_position_is_found_at_once_in_every_epoch() -> None:
    data = EpochData(Sizes(), BatchLimits(max_tokens=100), BatchConfig(curriculum=1), seed=1)
    for epoch in (0, 1):
        whole = [batch.indices.tolist() for batch in data.micro_batches(epoch, 0)]
        assert [batch.indices.tolist() for batch in data.micro_batches(epoch, 5)] == whole[5:]
        assert len(whole) == data.num_micro_batches(epoch)


@pytest.mark.parametrize("order", [Order.as_is, Order.by_length])
def test_a_curriculum_needs_something_to_come_after_it(order: Order) -> None:
    with pytest.raises(ValueError, match=r"curriculum=1 is not valid: it needs batch.order=shuffled"):
        BatchConfig(order=order, curriculum=1)


def test_every_epoch_has_examples_of_its_own() -> None:
    data = EpochData(StubSplit(), LIMITS, BatchConfig(), seed=3)
    assert data.num_micro_batches(0) == 1
    assert data.num_micro_batches(3) == 3
    batches = list(data.micro_batches(3, start=1))
    assert [batch.num_targets for batch in batches] == [3, 3]
    del batches
    assert [batch.num_targets for batch in data.micro_batches(8, start=0)] == [8] * 5
