"""A split of running text as blocks, for language models."""

import dataclasses
import logging
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from seqexp.data.batch import TextBatch
from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order
from seqexp.data.blocks import Blocks, Shorten, block_bounds, shortened
from seqexp.data.indexed import TokenStore
from seqexp.data.padding import Padding, Widths
from seqexp.data.pairs import LongExamples, numbered
from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError
from seqexp.runtime.rng import derive_seed

logger = logging.getLogger(__name__)


class Targets(StrEnum):
    """Which token is predicted after each that is read."""

    future = "future"
    """The next one."""
    self = "self"
    """The same."""
    past = "past"
    """The one before."""


@dataclass(frozen=True)
class BlockOptions:
    """How a text becomes sequences; the options' meaning is that of the task's config."""

    blocks: Blocks
    size: int
    shorten: Shorten = Shorten.none
    targets: Targets = Targets.future
    add_bos: bool = False
    context: int = 0
    """So many tokens that stand before a block are read besides; they are no targets of it."""


@dataclass(frozen=True)
class BlockSplit:
    """Blocks by number. Their loss is all that they are for: there is nothing to compare an output with."""

    name: str
    text: TokenStore
    """A sequence a line, those that are too long shortened."""
    vocabulary: Vocabulary
    options: BlockOptions
    bounds: NDArray[np.int64]
    """As `block_bounds`, of all blocks, those not in use too."""
    whole: TokenStore | None = None
    """The text before it was shortened, where each epoch does so anew."""
    numbers: NDArray[np.int64] | None = None
    """The blocks in use; None for all."""
    max_size: int | None = None
    """Longer sequences are cut to this; None for no limit."""
    widths: Widths = Widths()
    """What the sequences of a batch are padded to; as it stands, to the longest."""

    has_references = False

    @classmethod
    def make(cls, name: str, text: TokenStore, vocabulary: Vocabulary, options: BlockOptions) -> Self:
        """Cut a text into blocks."""
        lines = text if options.shorten is Shorten.none else shortened(text, options.size)
        bounds = block_bounds(lines.sizes, options.blocks, options.size)
        whole = text if options.shorten is Shorten.random_crop else None
        return cls(name, lines, vocabulary, options, bounds, whole)

    @cached_property
    def sizes(self) -> Integers:
        """Tokens of every sequence, int32."""
        sizes = self.bounds[:, 1] - self._starts + self._reads_last
        return (sizes if self.max_size is None else np.minimum(sizes, self.max_size)).astype(np.int32)

    @property
    def _starts(self) -> NDArray[np.int64]:
        """First token of each sequence, the context's."""
        return np.maximum(self.bounds[:, 0] - self.options.context, 0)

    @property
    def _reads_last(self) -> int:
        """1 where the last token of a block is read too: it is nobody's target but its own or its successor's."""
        return int(self.options.targets is not Targets.future and self.options.blocks is not Blocks.none)

    def __len__(self) -> int:
        return len(self.bounds) if self.numbers is None else len(self.numbers)

    def limited(self, max_size: int, policy: LongExamples) -> Self:
        """The split for a model that takes at most so many tokens.

        Raises:
            UserError: a block is longer and the policy is `error`, or it leaves no block.
        """
        too_long = self.sizes > max_size
        if not too_long.any():
            return self
        what = f"{self.name}: {numbered(too_long)} longer than {max_size} tokens"
        if policy is LongExamples.error:
            raise UserError(f"{what}: take task.too_long=drop or truncate, task.shorten, or task.blocks=none")
        if policy is LongExamples.truncate:
            logger.warning("%s, truncated", what)
            return dataclasses.replace(self, max_size=max_size)
        logger.warning("%s, dropped", what)
        if too_long.all():
            raise UserError(f"{what}: none is left")
        return dataclasses.replace(self, numbers=np.flatnonzero(~too_long))

    def padded(self, padding: Padding, longest: int) -> Self:
        """The split with wider batches, for a model that takes at most so many tokens."""
        used = self.sizes if self.numbers is None else self.sizes[self.numbers]
        return dataclasses.replace(self, widths=padding.widths(used, longest))

    def with_widths(self, widths: Widths) -> Self:
        """The split with batches of other widths."""
        return dataclasses.replace(self, widths=widths)

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> "BlockSplit":
        if self.whole is None:
            return self
        generator = np.random.default_rng(derive_seed(seed, epoch))
        # Lines get the same lengths whatever is drawn, so blocks begin and end where they did.
        return dataclasses.replace(self, text=shortened(self.whole, self.options.size, generator=generator))

    def plan(self, limits: BatchLimits, *, order: Order = Order.shuffled, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return EpochPlan(
            self.widths(self.sizes), None, limits, order=order, seed=seed, epoch=epoch, numbers=self.numbers
        )

    def collate(self, numbers: Integers) -> TextBatch:
        """The batch of these blocks, in this order."""
        starts, sizes = self._starts[numbers], self.sizes[numbers].astype(np.int64)
        width = int(self.widths(self.sizes[numbers]).max(initial=0))
        previous = self._rows(starts - 1, sizes, width)
        # A block begins with what stands before it in the text: at its beginning, and at that of a line, `</s>`.
        previous[:, 0] = np.where(starts == 0, self.vocabulary.eos, previous[:, 0])
        if self.options.add_bos:
            previous[:, 0] = self.vocabulary.bos
        if self.options.targets is Targets.future:
            target = self._rows(starts, sizes, width)
        elif self.options.targets is Targets.self:
            target = previous.copy()
        else:
            target = np.full_like(previous, self.vocabulary.pad)
            target[:, 1:] = np.where(previous[:, 1:] == self.vocabulary.pad, self.vocabulary.pad, previous[:, :-1])
        target[np.arange(width) < (self.bounds[numbers, 0] - starts)[:, None]] = self.vocabulary.pad
        return TextBatch(
            indices=torch.from_numpy(np.array(numbers, dtype=np.int64)),
            num_targets=int((target != self.vocabulary.pad).sum()),
            previous_tokens=torch.from_numpy(previous),
            target_tokens=torch.from_numpy(target),
        )

    def _rows(self, starts: NDArray[np.int64], sizes: NDArray[np.int64], width: int) -> NDArray[np.int64]:
        """Stretches of the text as one padded array, int64 [B, T]."""
        columns = np.arange(width)
        present = columns < sizes[:, None]
        rows = np.full(present.shape, self.vocabulary.pad, dtype=np.int64)
        rows[present] = self.text.tokens[np.maximum(starts[:, None] + columns, 0)[present]]
        return rows

    def source_text(self, number: int) -> str:
        """A block as the vocabulary's symbols."""
        start, end = self.bounds[number].tolist()
        return " ".join(self.vocabulary[index] for index in self.text.tokens[start:end].tolist())

    def references(self, number: int) -> list[str]:
        raise UserError("running text has no references")
