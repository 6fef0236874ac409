import numpy as np
import torch

from seqexp.data.batch import Batch
from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order
from seqexp.training.config import BatchConfig
from seqexp.training.data import EpochData

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


def test_every_epoch_has_examples_of_its_own() -> None:
    data = EpochData(StubSplit(), LIMITS, BatchConfig(), seed=3)
    assert data.num_micro_batches(0) == 1
    assert data.num_micro_batches(3) == 3
    batches = list(data.micro_batches(3, start=1))
    assert [batch.num_targets for batch in batches] == [3, 3]
    del batches
    assert [batch.num_targets for batch in data.micro_batches(8, start=0)] == [8] * 5
