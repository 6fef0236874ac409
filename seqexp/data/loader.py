"""Collated batches of an epoch, from any position on, made in this process or by workers ahead of time."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from seqexp.data.batch import Batch
from seqexp.data.batching import EpochPlan, Integers

AnyBatch = TypeVar("AnyBatch", bound=Batch)


class _Batches(Dataset[AnyBatch]):
    """The batches of a plan by their position."""

    def __init__(self, plan: EpochPlan, collate: Callable[[Integers], AnyBatch]) -> None:
        self.plan = plan
        self.collate = collate

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, position: int) -> AnyBatch:
        return self.collate(self.plan[position])


def micro_batches(
    plan: EpochPlan,
    collate: Callable[[Integers], AnyBatch],
    *,
    start: int = 0,
    positions: Sequence[int] | None = None,
    num_workers: int = 0,
) -> Iterator[AnyBatch]:
    """The batches of an epoch in the plan's order, the same for any number of workers.

    Args:
        collate: makes a batch from example numbers; with workers it is sent to processes.
        start: position of the first batch; the ones before are not made.
        positions: the positions to give instead of all from `start` on, e.g. those of one of several processes.
        num_workers: processes that make batches ahead; 0 makes each when it is asked for.
    """
    batches = _Batches(plan, collate)
    wanted = range(start, len(plan)) if positions is None else positions
    if num_workers == 0:
        yield from map(batches.__getitem__, wanted)
        return
    yield from DataLoader(
        batches,
        batch_size=None,
        sampler=wanted,
        num_workers=min(num_workers, max(len(wanted), 1)),
        collate_fn=_as_is,
        # without one of its own, the loader would draw from the global generator, and a resumed run would differ
        generator=torch.Generator().manual_seed(0),
    )


def _as_is(batch: AnyBatch) -> AnyBatch:
    return batch
