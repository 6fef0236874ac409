"""An update's micro-batches shared out over processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from seqexp.data.batch import Batch


@dataclass(frozen=True)
class Totals:
    """Counts of an update, over all its micro-batches."""

    num_targets: int
    num_sentences: int


@dataclass(frozen=True)
class Share:
    """What one process computes of an update."""

    batches: Sequence[Batch]
    numbers: Sequence[int]
    """The number of each micro-batch in the update, from 0."""
    num_micro_batches: int
    """Of the whole update, over all processes."""
    num_idle: int = 0
    """So many at the end it computes because all take part when gradients or weights meet, and multiplies by 0."""

    @classmethod
    def whole(cls, batches: Sequence[Batch]) -> Self:
        """All of an update, for one process."""
        return cls(batches, range(len(batches)), len(batches))

    @property
    def num_counted(self) -> int:
        """Micro-batches that are this process' share of the work."""
        return len(self.batches) - self.num_idle

    @property
    def totals(self) -> Totals:
        """What this process adds to those of the update."""
        counted = self.batches[: self.num_counted]
        return Totals(sum(b.num_targets for b in counted), sum(b.num_sentences for b in counted))
