"""The training split as updates."""

from collections.abc import Iterator

from seqexp.data.batching import BatchLimits, EpochPlan, Order
from seqexp.data.loader import micro_batches
from seqexp.data.split import Split
from seqexp.training.config import BatchConfig
from seqexp.training.share import Share


class EpochData:
    """Micro-batches of any epoch, from any position: a pure function of (seed, epoch).

    Process `rank` of `num_processes` takes the micro-batches rank, rank + num_processes, ... of every update, and makes
    no others but those that it computes for company.
    """

    def __init__(
        self,
        split: Split,
        limits: BatchLimits,
        config: BatchConfig,
        seed: int,
        *,
        rank: int = 0,
        num_processes: int = 1,
        in_step: bool = False,
    ) -> None:
        """`in_step`: processes compute equally many micro-batches; otherwise each computes one at least."""
        self.split, self.limits, self.config, self.seed = split, limits, config, seed
        self.rank, self.num_processes, self.in_step = rank, num_processes, in_step
        self._current: tuple[int, Split, EpochPlan] | None = None

    def num_micro_batches(self, epoch: int) -> int:
        _, plan = self._at(epoch)
        return len(plan)

    def updates(self, epoch: int, start: int) -> Iterator[Share]:
        """This process' shares of an epoch's updates, from micro-batch `start` on; the last update may be smaller."""
        split, plan = self._at(epoch)
        per_update = self.config.micro_batches
        groups = [range(first, min(first + per_update, len(plan))) for first in range(start, len(plan), per_update)]
        shares = [self._share(group) for group in groups]
        wanted = [position for share in shares for position in share]
        batches = micro_batches(plan, split.collate, positions=wanted, num_workers=self.config.num_workers)
        for group, share in zip(groups, shares, strict=True):
            numbers = [position - group[0] for position in share]
            num_idle = len(share) - len(group[self.rank :: self.num_processes])
            yield Share([next(batches) for _ in share], numbers, len(group), num_idle)

    def _share(self, group: range) -> list[int]:
        """This process' part of an update's micro-batches, then the first of all as often as it is idle."""
        own = list(group[self.rank :: self.num_processes])
        wanted = -(-len(group) // self.num_processes) if self.in_step else 1
        return own + [group[0]] * (wanted - len(own))

    def _at(self, epoch: int) -> tuple[Split, EpochPlan]:
        """The examples and the batches of an epoch; those of one epoch are kept."""
        if self._current is None or self._current[0] != epoch:
            self._current = None  # before the new one is made: it may have a copy of all text on disk
            order = Order.by_length if epoch < self.config.curriculum else self.config.order
            split = self.split.epoch(self.seed, epoch, self.limits, self.config.num_workers)
            self._current = epoch, split, split.plan(self.limits, order=order, seed=self.seed, epoch=epoch)
        return self._current[1:]
