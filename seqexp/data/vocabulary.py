"""Vocabulary: tokens and their indices, in the dictionary format of fairseq."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_text

BOS, PAD, EOS, UNK = "<s>", "<pad>", "</s>", "<unk>"
OVERWRITE = "#fairseq:overwrite"
"""Third field of a line whose token may exist already; the new entry then takes the token over."""


class Vocabulary:
    """Tokens in the order of their indices: `<s>` 0, `<pad>` 1, `</s>` 2, `<unk>` 3, further special ones, the rest.

    Two vocabularies are equal if they give every token the same index; counts do not matter.
    """

    def __init__(self, extra_specials: Sequence[str] = ()) -> None:
        """`extra_specials` take the indices from 4 on and, like the first four, are not written to files."""
        self.symbols: list[str] = []
        self.counts: list[int] = []
        self._indices: dict[str, int] = {}
        for special in (BOS, PAD, EOS, UNK, *extra_specials):
            self.add(special)
        self.bos, self.pad, self.eos, self.unk = (self._indices[special] for special in (BOS, PAD, EOS, UNK))
        self.num_specials = len(self.symbols)

    # Building

    def add(self, symbol: str, count: int = 1, *, overwrite: bool = False) -> int:
        """Count a token, appending it if it is new; returns its index. With `overwrite` it is appended in any case."""
        index = self._indices.get(symbol)
        if index is not None and not overwrite:
            self.counts[index] += count
            return index
        self._indices[symbol] = len(self.symbols)
        self.symbols.append(symbol)
        self.counts.append(count)
        self.__dict__.pop("text_indices", None)
        return len(self.symbols) - 1

    @classmethod
    def from_counts(
        cls, counts: Mapping[str, int], *, threshold: int = 0, max_size: int | None = None, multiple_of: int = 8
    ) -> Self:
        """The vocabulary of counted text: the most frequent first, equally frequent ones in code-point order.

        Args:
            counts: how often each token occurs; special tokens in it are passed over.
            threshold: tokens that occur less often are left out.
            max_size: at most so many tokens, special ones included, padding not; None takes all.
            multiple_of: `madeupword0000`, ... with count 0 are appended until the size is a multiple of this.
        """
        vocabulary = cls()
        specials = set(vocabulary.symbols)
        kept = sorted(symbol for symbol, count in counts.items() if count >= threshold and symbol not in specials)
        kept.sort(key=counts.__getitem__, reverse=True)  # stable, also in reverse
        if max_size is not None:
            del kept[max(max_size - len(specials), 0) :]
        vocabulary._indices.update(zip(kept, range(len(specials), len(specials) + len(kept)), strict=True))
        vocabulary.symbols += kept
        vocabulary.counts += map(counts.__getitem__, kept)
        vocabulary.pad_to_multiple(multiple_of)
        return vocabulary

    def pad_to_multiple(self, multiple_of: int) -> None:
        """Append `madeupword0000`, ... until the size is a multiple of `multiple_of`."""
        number = 0
        while multiple_of > 1 and len(self) % multiple_of != 0:
            self.add(f"madeupword{number:04d}", 0)
            number += 1

    # Looking up

    def __len__(self) -> int:
        return len(self.symbols)

    def __getitem__(self, index: int) -> str:
        """The token at an index; `<unk>` beyond the end."""
        return self.symbols[index] if index < len(self.symbols) else self.symbols[self.unk]

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._indices

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._indices == other._indices

    __hash__ = None  # type: ignore[assignment]  # grows

    def index(self, symbol: str) -> int:
        """Index of a token, special ones included; that of `<unk>` if there is no such token."""
        return self._indices.get(symbol, self.unk)

    @cached_property
    def text_indices(self) -> dict[str, int]:
        """Indices of the tokens that text may hold. Special tokens are not among them: text that spells `</s>` or
        `<pad>` is unknown, it does not end or mask a sentence."""
        specials = set(self.symbols[: self.num_specials])
        return {symbol: index for symbol, index in self._indices.items() if symbol not in specials}

    def encode(self, tokens: Iterable[str] | str, *, append_eos: bool = True) -> NDArray[np.int64]:
        """Indices of tokens, or of the tokens in a line of text, and `</s>`; int64 [T]."""
        words = tokens.split() if isinstance(tokens, str) else tokens
        get = self.text_indices.get
        indices = [get(word, self.unk) for word in words]
        if append_eos:
            indices.append(self.eos)
        return np.array(indices, dtype=np.int64)

    def decode(self, indices: Iterable[int], *, unknown: str = UNK) -> str:
        """Tokens separated by spaces; `<s>`, `<pad>` and `</s>` are left out, `unknown` stands for `<unk>`."""
        skipped = (self.bos, self.pad, self.eos)
        kept = (int(index) for index in indices)
        return " ".join(unknown if index == self.unk else self[index] for index in kept if index not in skipped)

    # Files

    def save(self, path: Path) -> None:
        """Write `token count` lines, special tokens left out: line number n (from 0) has index n + 4."""
        entries = zip(self.symbols[self.num_specials :], self.counts[self.num_specials :], strict=True)
        seen = set(self.symbols[: self.num_specials])
        lines = []
        for symbol, count in entries:
            lines.append(f"{symbol} {count} {OVERWRITE}\n" if symbol in seen else f"{symbol} {count}\n")
            seen.add(symbol)
        write_text(path, "".join(lines))

    @classmethod
    def load(cls, path: Path, extra_specials: Sequence[str] = ()) -> Self:
        """Read a dictionary file.

        Raises:
            UserError: the file is missing or not UTF-8, a line is malformed, or a token occurs twice.
        """
        vocabulary = cls(extra_specials)
        text = _read(path)
        for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1):
            vocabulary._add_line(line, f"{path}:{number}")
        return vocabulary

    def _add_line(self, line: str, where: str) -> None:
        entry, overwrite = line.rstrip(), False
        if entry.endswith(" " + OVERWRITE):
            entry, overwrite = entry.removesuffix(" " + OVERWRITE), True
        symbol, separator, count = entry.rpartition(" ")
        if not separator or not count.isdecimal():
            raise UserError(f"{where}: a line must be `token count [{OVERWRITE}]`, not {line!r}")
        if symbol in self._indices and not overwrite:
            raise UserError(f"{where}: duplicate token {symbol!r}; append ` {OVERWRITE}` if it is to replace the first")
        self.add(symbol, int(count), overwrite=overwrite)

    def content_hash(self) -> str:
        """SHA-256 of the tokens in order; counts do not matter."""
        return hashlib.sha256("\n".join(self.symbols).encode("utf-8")).hexdigest()


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the vocabulary cannot be read: {error.strerror}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{number}: not UTF-8; build the vocabulary again from UTF-8 text") from error
