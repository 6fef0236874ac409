"""Widths that batches are padded to, so that there are few different ones."""

from dataclasses import dataclass

import numpy as np

from seqexp.data.batching import Integers


@dataclass(frozen=True)
class Widths:
    """Rounds sizes up to widths."""

    buckets: Integers | None = None
    """Ascending; None for no buckets."""
    multiple: int = 1
    longest: int | None = None
    """No size is rounded up beyond this."""

    def __call__(self, sizes: Integers) -> Integers:
        """The width that each size is padded to, of the same type."""
        widths = sizes
        if self.buckets is not None:
            bucket = np.searchsorted(self.buckets, sizes)
            widths = np.where(bucket < len(self.buckets), np.append(self.buckets, 0)[bucket], sizes)
        if self.multiple > 1:
            widths = -(-widths // self.multiple) * self.multiple
        if self.longest is not None:
            widths = np.maximum(np.minimum(widths, self.longest), sizes)
        return widths.astype(sizes.dtype, copy=False)


@dataclass(frozen=True)
class Padding:
    """How much wider than its longest example a batch is made. As it stands: not at all."""

    num_buckets: int = 0
    """Most widths there are; 0 for any."""
    multiple: int = 1
    """Widths are multiples of this."""

    def widths(self, sizes: Integers, longest: int | None) -> Widths:
        """The widths for one side of the data.

        Args:
            sizes: tokens of each example, [N].
            longest: most tokens that the model takes; None for any number.
        """
        buckets = None
        if self.num_buckets and len(sizes):
            # Quantiles, so that the buckets have about as many examples each; the last is that of the longest.
            quantiles = np.percentile(sizes, np.linspace(0, 100, self.num_buckets + 1), method="lower")
            buckets = np.unique(quantiles[1:]).astype(sizes.dtype)
        return Widths(buckets, self.multiple, longest)


NO_PADDING = Padding()
"""Beyond what makes the examples of a batch equally long."""
