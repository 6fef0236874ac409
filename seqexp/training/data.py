"""The training split as micro-batches."""

from collections.abc import Iterator

from seqexp.data.batch import Batch
from seqexp.data.batching import BatchLimits, EpochPlan, Order
from seqexp.data.loader import micro_batches
from seqexp.data.split import Split
from seqexp.training.config import BatchConfig


class EpochData:
    """Micro-batches of any epoch, from any position: a pure function of (seed, epoch)."""

    def __init__(self, split: Split, limits: BatchLimits, config: BatchConfig, seed: int) -> None:
        self.split, self.limits, self.config, self.seed = split, limits, config, seed
        self._current: tuple[int, Split, EpochPlan] | None = None

    def num_micro_batches(self, epoch: int) -> int:
        _, plan = self._at(epoch)
        return len(plan)

    def micro_batches(self, epoch: int, start: int) -> Iterator[Batch]:
        """The micro-batches of an epoch from number `start` on."""
        split, plan = self._at(epoch)
        return micro_batches(plan, split.collate, start=start, num_workers=self.config.num_workers)

    def _at(self, epoch: int) -> tuple[Split, EpochPlan]:
        """The examples and the batches of an epoch; those of one epoch are kept."""
        if self._current is None or self._current[0] != epoch:
            self._current = None  # before the new one is made: it may have a copy of all text on disk
            order = Order.by_length if epoch < self.config.curriculum else self.config.order
            split = self.split.epoch(self.seed, epoch, self.limits, self.config.num_workers)
            self._current = epoch, split, split.plan(self.limits, order=order, seed=self.seed, epoch=epoch)
        return self._current[1:]
