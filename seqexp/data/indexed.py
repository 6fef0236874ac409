"""Memory-mapped token sequences: `{prefix}.bin` and `{prefix}.idx`.

`.bin` is all tokens one after the other, little-endian, without a header. `.idx` is a header of 32 bytes
(magic `SEQXTOK` and a zero byte, uint32 version, uint32 dtype code, uint64 number of sequences, uint64 number of
tokens) and n + 1 offsets in tokens, uint64: sequence i is tokens[offsets[i] : offsets[i + 1]].
"""

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from seqexp.runtime.errors import UserError
from seqexp.runtime.files import sha256_of_file

MAGIC = b"SEQXTOK\0"
VERSION = 1
HEADER = struct.Struct("<8sIIQQ")
DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype("<u2"), 2: np.dtype("<u4"), 3: np.dtype("<i8")}
OFFSET = np.dtype("<u8")

Integers = NDArray[np.integer[Any]]


def token_dtype(vocabulary_size: int) -> np.dtype[Any]:
    """The smallest type that holds every index of a vocabulary."""
    if vocabulary_size < 65500:
        return DTYPES[1]
    return DTYPES[2] if vocabulary_size < 2**32 - 1 else DTYPES[3]


def token_path(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".bin")


def index_path(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".idx")


class TokenStore:
    """Reads sequences by number; nothing is copied into memory but what is asked for, and the sizes."""

    def __init__(self, prefix: Path) -> None:
        """
        Raises:
            UserError: a file is missing, not of this format and version, or its size or offsets contradict its header.
        """
        self.prefix = prefix
        code, num_sequences, num_tokens = _read_header(index_path(prefix))
        self.num_tokens = num_tokens
        _check_size(index_path(prefix), HEADER.size + OFFSET.itemsize * (num_sequences + 1))
        _check_size(token_path(prefix), DTYPES[code].itemsize * num_tokens)
        self.offsets = _map(index_path(prefix), OFFSET, num_sequences + 1, HEADER.size).view("<i8")
        self.tokens = _map(token_path(prefix), DTYPES[code], num_tokens, 0)
        self.sizes: NDArray[np.int32] = self._sizes()

    def _sizes(self) -> NDArray[np.int32]:
        sizes = np.diff(self.offsets)
        whole = self.offsets[0] == 0 and self.offsets[-1] == self.num_tokens
        if not whole or (len(sizes) and (sizes.min() < 0 or sizes.max() > np.iinfo(np.int32).max)):
            raise UserError(f"{index_path(self.prefix)}: corrupt offsets; prepare the data again")
        return sizes.astype(np.int32)

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        return type(self), (self.prefix,)  # another process maps the files anew rather than being sent their content

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: int) -> Integers:
        """A view of one sequence, [T]."""
        if not 0 <= number < len(self):
            raise IndexError(f"sequence {number} of {len(self)}")
        return self.tokens[self.offsets[number] : self.offsets[number + 1]]

    def gather(
        self, numbers: Integers, pad: int, *, left: bool = False, max_size: int | None = None, width: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Many sequences as one padded array.

        Args:
            numbers: which sequences, [B].
            pad: the token to fill up with.
            left: fill up at the beginning rather than at the end.
            max_size: longer sequences are cut to this, their last token (`</s>`) kept.
            width: the least width of the array.

        Returns:
            int64 [B, T] of the widest sequence's width or more, and the sizes, int64 [B].
        """
        starts = self.offsets[numbers]
        sizes = self.sizes[numbers].astype(np.int64)
        ends = starts + sizes
        if max_size is not None:
            np.minimum(sizes, max_size, out=sizes)
        width = max(width, int(sizes.max(initial=0)))
        columns = np.arange(width)
        first = (width - sizes if left else np.zeros_like(sizes))[:, None]
        present = (columns >= first) & (columns < first + sizes[:, None])
        positions = starts[:, None] - first + columns
        if max_size is not None:
            last = (first[:, 0] + sizes - 1)[sizes > 0]
            positions[np.flatnonzero(sizes > 0), last] = ends[sizes > 0] - 1
        padded = np.full(present.shape, pad, dtype=np.int64)
        padded[present] = self.tokens[positions[present]]
        return padded, sizes

    def verify(self, tokens_sha256: str, index_sha256: str) -> None:
        """Compare both files with the checksums of the manifest.

        Raises:
            UserError: a file differs.
        """
        for path, expected in ((token_path(self.prefix), tokens_sha256), (index_path(self.prefix), index_sha256)):
            if sha256_of_file(path) != expected:
                raise UserError(f"{path}: the content differs from the manifest's checksum; prepare the data again")


class TokenStoreWriter:
    """Writes a store as a stream. The files appear under their names when the block ends well, otherwise not at all."""

    def __init__(self, prefix: Path, dtype: np.dtype[Any]) -> None:
        self.prefix = prefix
        self.dtype = dtype
        self.num_sequences = 0
        self.num_tokens = 0
        self._paths = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in _paths(prefix)}

    def __enter__(self) -> Self:
        tokens, index = self._paths.values()
        self._tokens, self._index = tokens.open("wb"), index.open("wb")
        self._index.write(bytes(HEADER.size) + np.zeros(1, OFFSET).tobytes())
        return self

    def write(self, tokens: Integers, sizes: Integers) -> None:
        """Append sequences: their tokens one after the other, [sum of sizes], and their sizes, [n]."""
        assert len(tokens) == int(sizes.sum())
        self._tokens.write(np.ascontiguousarray(tokens, self.dtype).data)
        self._index.write((np.cumsum(sizes, dtype=OFFSET) + np.uint64(self.num_tokens)).tobytes())
        self.num_sequences += len(sizes)
        self.num_tokens += len(tokens)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = next(code for code, dtype in DTYPES.items() if dtype == self.dtype)
        self._index.seek(0)
        self._index.write(HEADER.pack(MAGIC, VERSION, code, self.num_sequences, self.num_tokens))
        self._tokens.close()
        self._index.close()
        for path, temporary in self._paths.items():
            if kind is None:
                temporary.replace(path)
            else:
                temporary.unlink(missing_ok=True)


def _paths(prefix: Path) -> tuple[Path, Path]:
    return token_path(prefix), index_path(prefix)


def _read_header(path: Path) -> tuple[int, int, int]:
    try:
        with path.open("rb") as file:
            data = file.read(HEADER.size)
    except OSError as error:
        raise UserError(f"{path}: the index cannot be read: {error.strerror}") from error
    if len(data) < HEADER.size:
        raise UserError(f"{path}: truncated, it has {len(data)} bytes; prepare the data again")
    magic, version, code, num_sequences, num_tokens = HEADER.unpack(data)
    if magic != MAGIC:
        raise UserError(f"{path}: not an index of token sequences")
    if version != VERSION or code not in DTYPES:
        raise UserError(f"{path}: version {version}, type {code}; this code reads version {VERSION}, types {[*DTYPES]}")
    return code, num_sequences, num_tokens


def _check_size(path: Path, expected: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if size != expected:
        raise UserError(f"{path}: it has {size} bytes where its header says {expected}; prepare the data again")


def _map(path: Path, dtype: np.dtype[Any], count: int, offset: int) -> NDArray[Any]:
    if count == 0:  # an empty file cannot be mapped
        return np.zeros(0, dtype)
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=(count,)))
