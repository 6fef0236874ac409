from itertools import islice

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


def batches_of(data: EpochData, epoch: int, start: int = 0) -> list[Batch]:
    return [batch for share in data.updates(epoch, start) for batch in share.batches[: share.num_counted]]


def longest(data: EpochData, epoch: int) -> list[int]:
    """Size of each batch's longest example."""
    return [int(SIZES[batch.indices].max()) for batch in batches_of(data, epoch)]


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
        whole = [batch.indices.tolist() for batch in batches_of(data, epoch)]
        assert [batch.indices.tolist() for batch in batches_of(data, epoch, 5)] == whole[5:]
        assert len(whole) == data.num_micro_batches(epoch)


@pytest.mark.parametrize("order", [Order.as_is, Order.by_length])
def test_a_curriculum_needs_something_to_come_after_it(order: Order) -> None:
    with pytest.raises(ValueError, match=r"curriculum=1 is not valid: it needs batch.order=shuffled"):
        BatchConfig(order=order, curriculum=1)


def test_every_epoch_has_examples_of_its_own() -> None:
    data = EpochData(StubSplit(), LIMITS, BatchConfig(), seed=3)
    assert data.num_micro_batches(0) == 1
    assert data.num_micro_batches(3) == 3
    batches = batches_of(data, 3, 1)
    assert [batch.num_targets for batch in batches] == [3, 3]
    del batches
    assert [batch.num_targets for batch in batches_of(data, 8)] == [8] * 5


@pytest.mark.parametrize("in_step", [False, True])
@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_example_once_however_many_share_the_work(size: int, num_workers: int, in_step: bool) -> None:
    """Also where an update has fewer micro-batches than there are processes, and from any update of the epoch on."""
    config = BatchConfig(micro_batches=3, num_workers=num_workers)
    whole = list(EpochData(Sizes(), BatchLimits(max_tokens=80), config, seed=1).updates(0, 0))
    assert len(whole[-1].batches) < 3, "the last update is to be ragged"
    for first in (0, 6) if num_workers == 0 else (6,):
        shares = []
        for rank in range(size):
            place = {"rank": rank, "num_processes": size, "in_step": in_step}
            data = EpochData(Sizes(), BatchLimits(max_tokens=80), config, seed=1, **place)
            shares.append(list(data.updates(0, 3 * first)))
        for update, parts in zip(whole[first:], zip(*shares, strict=True), strict=True):
            found = {
                number: batch.indices.tolist()
                for part in parts
                for number, batch in islice(zip(part.numbers, part.batches, strict=True), part.num_counted)
            }
            assert found == {number: batch.indices.tolist() for number, batch in enumerate(update.batches)}
            assert sum(part.totals.num_targets for part in parts) == update.totals.num_targets
            assert sum(part.totals.num_sentences for part in parts) == update.totals.num_sentences
            for part in parts:
                assert part.num_micro_batches == update.num_micro_batches
                for batch in part.batches[part.num_counted :]:
                    assert batch.indices.equal(update.batches[0].indices), "it takes part with the first"
            counts = {len(part.batches) for part in parts}
            assert 0 not in counts
            assert len(counts) == 1 or not in_step
