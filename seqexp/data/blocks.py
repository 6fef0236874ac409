"""Running text cut into blocks: what a language model sees as one sequence.

A text is its lines one after the other, each ending in `</s>`. A block is a stretch of it.
"""

from collections.abc import Iterator
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from seqexp.data.encoding import TemporaryStore
from seqexp.data.indexed import Integers, TokenStore, TokenStoreWriter
from seqexp.runtime.scratch import ScratchDirectory

LINES_AT_ONCE = 2**16


class Blocks(StrEnum):
    """Where blocks begin and end."""

    none = "none"
    """Wherever their size says, also within lines."""
    complete = "complete"
    """Between lines: as many whole lines as the size allows. A longer line is a block of its own."""
    complete_doc = "complete_doc"
    """As `complete`, but none reaches over a blank line, which ends a document and is in no block."""
    eos = "eos"
    """Each line is one."""


class Shorten(StrEnum):
    """What becomes of lines longer than a block."""

    none = "none"
    """They stay as they are."""
    truncate = "truncate"
    """Their beginning is kept, and `</s>`."""
    random_crop = "random_crop"
    """A stretch of them is kept, drawn anew in each epoch of training, and `</s>`; elsewhere as `truncate`."""


def block_bounds(sizes: Integers, blocks: Blocks, size: int) -> NDArray[np.int64]:
    """The blocks of a text.

    Args:
        sizes: tokens of each line, `</s>` included.
        size: most tokens of a block; of no meaning with `eos`.

    Returns:
        First token of each block and the one after its last, counted through the text, int64 [number of blocks, 2].
    """
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
    if blocks is Blocks.none:
        starts = np.arange(0, ends[-1], size)
        return np.stack([starts, np.minimum(starts + size, ends[-1])], axis=1)
    if blocks is Blocks.eos:
        return np.stack([ends[:-1], ends[1:]], axis=1)
    documents = [(0, len(sizes))] if blocks is Blocks.complete else _documents(sizes)
    lines = [pair for first, last in documents for pair in _filled(ends, first, last, size)]
    return ends[np.array(lines, dtype=np.int64).reshape(-1, 2)]


def _documents(sizes: Integers) -> list[tuple[int, int]]:
    """First line of each document and the one after its last; documents end with a line of `</s>` alone."""
    blank = np.flatnonzero(np.asarray(sizes) == 1).tolist()
    pairs = zip([0, *(line + 1 for line in blank)], [*blank, len(sizes)], strict=True)
    return [(first, last) for first, last in pairs if first < last]


def _filled(ends: NDArray[np.int64], first: int, last: int, size: int) -> Iterator[tuple[int, int]]:
    """Lines `first` to `last` in blocks of as many as fit."""
    while first < last:
        fitting = int(np.searchsorted(ends[: last + 1], ends[first] + size, side="right")) - 1
        following = max(fitting, first + 1)
        yield first, following
        first = following


def shortened(store: TokenStore, size: int, *, generator: np.random.Generator | None = None) -> TokenStore:
    """A text whose longer lines are cut to `size` tokens, `</s>` kept; in temporary files that go with the object.

    Args:
        generator: draws which stretch of each is kept; None keeps their beginnings.

    Raises:
        UserError: the temporary files cannot be written.
    """
    if int(store.sizes.max(initial=0)) <= size:
        return store
    scratch = ScratchDirectory()
    prefix = scratch.path / store.prefix.name
    with scratch.filling(), TokenStoreWriter(prefix, store.tokens.dtype) as writer:
        for first in range(0, len(store), LINES_AT_ONCE):
            writer.write(*_cut(store, slice(first, first + LINES_AT_ONCE), size, generator))
    return TemporaryStore(prefix, scratch)


def _cut(
    store: TokenStore, lines: slice, size: int, generator: np.random.Generator | None
) -> tuple[Integers, NDArray[np.int64]]:
    """Tokens and sizes of some lines after cutting."""
    sizes = store.sizes[lines].astype(np.int64)
    starts = store.offsets[lines][: len(sizes)]
    kept = np.minimum(sizes, size)
    left_out = np.zeros_like(sizes)
    is_long = sizes > size
    if generator is not None:
        left_out[is_long] = generator.integers(0, sizes[is_long] - size + 1)
    ends = np.cumsum(kept)
    positions = np.arange(kept.sum()) + np.repeat(starts + left_out - (ends - kept), kept)
    positions[ends - 1] = starts + sizes - 1  # `</s>`
    return store.tokens[positions], kept
