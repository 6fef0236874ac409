"""The training split as micro-batches."""

from collections.abc import Iterator
from functools import lru_cache

from seqexp.data.batch import Batch
from seqexp.data.batching import BatchLimits, EpochPlan, Order
from seqexp.data.loader import micro_batches
from seqexp.data.split import Split
from seqexp.training.config import BatchConfig


class EpochData:
    """Micro-batches of any epoch, from any position: a pure function of (seed, epoch)."""

    def __init__(self, split: Split, limits: BatchLimits, config: BatchConfig, seed: int) -> None:
        self.split, self.limits, self.config, self.seed = split, limits, config, seed
        self._plan = lru_cache(maxsize=1)(self._make_plan)

    def num_micro_batches(self, epoch: int) -> int:
        return len(self._plan(epoch))

    def micro_batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """The micro-batches of an epoch from number `start` on."""
        return micro_batches(self._plan(epoch), self.split.collate, start=start, num_workers=self.config.num_workers)

    def _make_plan(self, epoch: int) -> EpochPlan:
        order = Order.by_length if epoch < self.config.curriculum else self.config.order
        return self.split.plan(self.limits, order=order, seed=self.seed, epoch=epoch)
