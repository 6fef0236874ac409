"""Batches of similar length under a budget of tokens, and the order of an epoch."""

from array import array
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqexp.runtime.errors import UserError

Integers = NDArray[np.integer[Any]]


class Order(StrEnum):
    """How examples are put into batches, and batches into an epoch."""

    shuffled = "shuffled"
    """Batches of similar length whose make-up and order are drawn anew in every epoch."""
    by_length = "by_length"
    """The same batches in every epoch, short examples first."""
    as_is = "as_is"
    """The examples in the order of the data, whatever their length."""


def batch_by_size(
    order: Integers,
    sizes: Integers,
    *,
    max_tokens: int | None = None,
    max_sentences: int | None = None,
    multiple_of: int = 1,
) -> NDArray[np.int64]:
    """Cut a sequence of examples into batches: each takes as many as its budget allows.

    Args:
        order: example numbers, [N].
        sizes: tokens of each example by its number; a batch costs its number of examples times the largest size.
        max_tokens: largest cost of a batch; None for any.
        max_sentences: most examples of a batch; None for any.
        multiple_of: a batch of more examples than this gives up the last few, so that their number is a multiple of it.
            The examples given up begin the next batch; the last batch of all may be ragged.

    Returns:
        Offsets, int64 [number of batches + 1]: batch i is order[offsets[i] : offsets[i + 1]].

    Raises:
        UserError: an example is larger than `max_tokens`.
    """
    ordered_sizes = np.asarray(sizes)[order]
    _refuse_over_long(order, ordered_sizes, max_tokens)
    num_examples = len(ordered_sizes)
    budget = max_tokens or int(ordered_sizes.max(initial=1)) * max(num_examples, 1)
    limit = max_sentences or num_examples
    offsets = array("q", [0])
    start = 0
    while start < num_examples:
        # no more than this fits even if the first example is the largest; a short list is faster than array arithmetic
        most = min(limit, budget // max(int(ordered_sizes[start]), 1))
        start += _num_that_fit(ordered_sizes[start : start + most].tolist(), budget, multiple_of)
        offsets.append(start)
    return np.frombuffer(offsets, dtype=np.int64)


def _num_that_fit(sizes: list[int], budget: int, multiple_of: int) -> int:
    largest = count = 0
    for size in sizes:
        if size > largest:
            largest = size
        if (count + 1) * largest > budget:
            break
        count += 1
    return count - count % multiple_of if count > multiple_of else count


def _refuse_over_long(order: Integers, ordered_sizes: Integers, max_tokens: int | None) -> None:
    if max_tokens is None or len(order) == 0 or int(ordered_sizes.max()) <= max_tokens:
        return
    worst = int(ordered_sizes.argmax())
    raise UserError(
        f"batch.max_tokens={max_tokens} is smaller than example {int(order[worst])}, "
        f"which has {int(ordered_sizes[worst])} tokens: raise it, or limit the length of examples"
    )


@dataclass(frozen=True)
class BatchLimits:
    """The budget of a batch; see `batch_by_size`."""

    max_tokens: int | None = None
    max_sentences: int | None = None
    multiple_of: int = 1


class EpochPlan:
    """The batches of one epoch: a pure function of the sizes, the limits, the order, the seed and the epoch.

    It holds two integers for each example and each batch, and any batch is found at once. Workers and ranks have no
    part in it.
    """

    def __init__(
        self,
        source_sizes: Integers,
        target_sizes: Integers | None,
        limits: BatchLimits,
        *,
        order: Order = Order.shuffled,
        seed: int = 0,
        epoch: int = 0,
        numbers: Integers | None = None,
    ) -> None:
        """
        Args:
            source_sizes: tokens of each example's source, [N].
            target_sizes: tokens of each example's target, [N]; an example counts as its longer side.
            numbers: the examples to use; None for all.

        Raises:
            UserError: an example is larger than the limits allow.
        """
        count = len(source_sizes)
        integer = np.int32 if count <= np.iinfo(np.int32).max else np.int64
        examples: Integers = (np.arange(count) if numbers is None else np.asarray(numbers)).astype(integer)
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
        if order is Order.shuffled:
            random.shuffle(examples)
        if order is not Order.as_is:
            for sizes in (target_sizes, source_sizes):
                if sizes is not None:
                    examples = examples[np.argsort(_narrow(sizes)[examples], kind="stable")]
        costs: Integers = source_sizes if target_sizes is None else np.maximum(source_sizes, target_sizes)
        self._sizes = [sizes for sizes in (source_sizes, target_sizes) if sizes is not None]
        self.examples: Integers = examples
        self.offsets = batch_by_size(
            examples,
            costs,
            max_tokens=limits.max_tokens,
            max_sentences=limits.max_sentences,
            multiple_of=limits.multiple_of,
        )
        self.batch_order: Integers = np.arange(len(self.offsets) - 1)
        if order is Order.shuffled:
            random.shuffle(self.batch_order)

    @cached_property
    def widest(self) -> list[int]:
        """The example with the longest source and, where there are targets, that with the longest target."""
        return [int(self.examples[sizes[self.examples].argmax()]) for sizes in self._sizes if len(self.examples)]

    @property
    def largest_size(self) -> int:
        """What the largest example counts as; 0 where there is none."""
        return max((int(sizes[self.widest].max()) for sizes in self._sizes if self.widest), default=0)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.batch_order)

    def __getitem__(self, position: int) -> Integers:
        """The example numbers of the batch at a position of the epoch, [B]."""
        batch = self.batch_order[position]
        return self.examples[self.offsets[batch] : self.offsets[batch + 1]]


class EqualSizes(EpochPlan):
    """Batches whose examples are all of one size, short ones first, so that there is no padding."""

    def __init__(self, sizes: Integers, limits: BatchLimits) -> None:
        super().__init__(sizes, None, limits, order=Order.by_length)
        changes = np.flatnonzero(np.diff(sizes[self.examples])) + 1
        self.offsets = np.union1d(self.offsets, changes)
        self.batch_order = np.arange(len(self.offsets) - 1)


def _narrow(sizes: Integers) -> Integers:
    """Sizes in 16 bits where they fit: numpy then sorts by radix, several times faster."""
    return sizes.astype(np.uint16) if len(sizes) and int(sizes.max()) < 2**16 else sizes
