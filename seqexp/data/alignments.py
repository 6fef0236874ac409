"""Word alignments: read from text by `preprocess`, and from a data directory by whoever trains on them."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seqexp.data.indexed import Integers, TokenStore, TokenStoreWriter, index_path, token_path
from seqexp.data.ledger import Ledger
from seqexp.data.manifest import Manifest
from seqexp.data.progress import progress
from seqexp.data.text import Chunk, Text, read_blocks, read_lines
from seqexp.runtime.errors import UserError

NAME = "alignments"
"""Of the store, `{split}.alignments`."""
DTYPE = np.dtype("<u4")
_PAIRS = re.compile(r"(?:\d{1,9}-\d{1,9}(?: |$))*")


class WordAlignments:
    """Which source and target tokens of each example belong together. Numbers of tokens are from 0, `</s>` left out."""

    def __init__(self, store: TokenStore, *, swapped: bool = False) -> None:
        """`swapped`: the target of the data is the source now."""
        self.store = store
        self.swapped = swapped

    @classmethod
    def load(cls, directory: Path, split: str, manifest: Manifest | None = None, source: str | None = None) -> Self:
        """Open those of a split; `source` is the field to translate from, None for the manifest's.

        Raises:
            UserError: the data has none, or a file is missing or corrupt.
        """
        manifest = manifest or Manifest.load(directory)
        record = manifest.splits.get(split)
        if record is None or record.alignments is None:
            raise UserError(f"{directory}: split {split!r} has no word alignments; prepare it with corpus.alignments=")
        store = TokenStore(directory / f"{split}.{NAME}")
        if len(store) != record.num_examples:
            raise UserError(f"{store.prefix}: {len(store)} examples, the manifest says {record.num_examples}")
        return cls(store, swapped=source is not None and source != manifest.source)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.store)

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        """Pairs (source token, target token) of an example, [number of pairs, 2]."""
        pairs = self.store[number].astype(np.int64).reshape(-1, 2)
        return pairs[:, ::-1] if self.swapped else pairs

    def gather(self, numbers: Integers) -> NDArray[np.int64]:
        """All pairs of a batch: (row of the batch, source token, target token), [number of pairs, 3]."""
        found = [self[int(number)] for number in numbers]
        rows = np.repeat(np.arange(len(found)), [len(pairs) for pairs in found])
        return np.column_stack([rows, np.concatenate([np.zeros((0, 2), np.int64), *found])])


# Reading text


@dataclass(frozen=True)
class _Part:
    name: str
    chunk: Chunk
    prefix: Path

    def outputs(self) -> list[Path]:
        return [token_path(self.prefix), index_path(self.prefix)]


def read_alignments(texts: dict[str, Text], scratch: Path, ledger: Ledger) -> dict[str, list[Path]]:
    """The pairs of every line, flat, by split: prefixes of stores, one for each chunk.

    Raises:
        UserError: a line is not pairs `i-j`.
    """
    parts = {
        split: [
            _Part(name, chunk, scratch / name)
            for number, chunk in enumerate(text.chunks)
            for name in [f"{NAME}.{split}.{number}.{chunk.start}-{chunk.end}"]
        ]
        for split, text in texts.items()
    }
    everything = list(itertools.chain.from_iterable(parts.values()))
    with progress("reading alignments", sum(part.chunk.num_bytes for part in everything)) as advance:
        for part, fault in zip(everything, ledger.map(_read_chunk, everything), strict=True):
            if fault is not None:
                _refuse(part.chunk, *fault)
            advance(part.chunk.num_bytes)
    return {split: [part.prefix for part in found] for split, found in parts.items()}


def _read_chunk(part: _Part) -> tuple[int, str] | None:
    """Write the store; gives the line, from 0 within the chunk, that is not pairs, and its text."""
    line = 0
    with TokenStoreWriter(part.prefix, DTYPE) as writer:
        for lines in read_lines(part.chunk):
            cleaned = [" ".join(text.split()) for text in lines]
            for number, text in enumerate(cleaned):
                if not _PAIRS.fullmatch(text):
                    return line + number, lines[number]
            line += len(lines)
            numbers = np.fromiter(map(int, " ".join(cleaned).replace("-", " ").split()), dtype=np.int64)
            sizes = np.array([2 * text.count("-") for text in cleaned], dtype=np.int32)
            writer.write(numbers, sizes)
    return None


def _refuse(chunk: Chunk, line: int, text: str) -> None:
    before = sum(block.count(b"\n") for block in read_blocks(Chunk(chunk.path, 0, chunk.start)))
    raise UserError(
        f"{chunk.path}:{before + line + 1}: must be pairs `i-j` with spaces between them, not {text[:60]!r}"
    )
