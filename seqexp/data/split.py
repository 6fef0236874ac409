"""What training and evaluation see of the examples of a split, whatever the task."""

from typing import Protocol

from seqexp.data.batch import Batch
from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order


class Split(Protocol):
    """Examples, numbered from 0 in the order of the raw text."""

    has_references: bool

    def __len__(self) -> int: ...

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> "Split":
        """The split as an epoch sees it: itself, unless its examples look different in every epoch.

        Args:
            limits: no example becomes larger than a batch may be.
            num_workers: processes to use besides this one's; the result is the same for any number.
        """

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        """The batches of an epoch."""

    def collate(self, numbers: Integers) -> Batch:
        """The batch of these examples, in this order."""

    def source_text(self, number: int) -> str:
        """Raw text of an example's input."""

    def references(self, number: int) -> list[str]:
        """Raw text that an output is compared with."""
