"""Reading text in pieces, and working on the pieces in several processes.

Lines end in "\\n" only; a "\\r" before it is dropped. Other characters that Unicode counts as line ends (U+2028,
U+0085) are ordinary white space within a line.
"""

import ctypes
import hashlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain, compress, islice, pairwise
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import numpy as np

from seqexp.data.progress import progress
from seqexp.runtime.errors import UserError

BLOCK_BYTES = 1 << 20
"""Read at a time; with the Python objects made of it, a process holds about 30 times as much."""
NUM_CHUNKS = 128
"""Of a file of moderate size: enough to keep many processes busy to the end."""
MIN_CHUNK_BYTES = 1 << 18
MAX_CHUNK_BYTES = 1 << 24
"""So much work at most is lost by an interruption, in each process."""

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Chunk:
    """A part of a text file: whole lines, from byte `start` up to `end`."""

    path: Path
    start: int
    end: int

    @property
    def num_bytes(self) -> int:
        return self.end - self.start


def split_file(path: Path) -> list[Chunk]:
    """A file in chunks, in order. Where they are cut depends on the file alone, not on who will work on them."""
    size = path.stat().st_size
    step = min(max(size // NUM_CHUNKS + 1, MIN_CHUNK_BYTES), MAX_CHUNK_BYTES)
    bounds = [0]
    with path.open("rb") as file:
        for position in range(step, size, step):
            file.seek(max(position, bounds[-1]) - 1)
            file.readline()
            bounds.append(file.tell())
    bounds.append(size)
    return [Chunk(path, start, end) for start, end in pairwise(bounds) if start < end]


def read_blocks(chunk: Chunk) -> Iterator[bytes]:
    """The chunk in blocks of whole lines; only the last may lack its final line end."""
    remaining = chunk.num_bytes
    with chunk.path.open("rb") as file:
        file.seek(chunk.start)
        while remaining > 0:
            block = file.read(min(BLOCK_BYTES, remaining))
            if not block:
                raise UserError(f"{chunk.path}: the file became shorter while it was read")
            if len(block) < remaining and not block.endswith(b"\n"):
                block += file.readline(remaining - len(block))
            remaining -= len(block)
            yield block


def read_lines(chunk: Chunk) -> Iterator[list[str]]:
    """The lines of the chunk, a block at a time, without their ends. The text must be UTF-8 (see `inspect_files`)."""
    for block in read_blocks(chunk):
        yield [line.removesuffix("\r") for line in block.decode("utf-8").removesuffix("\n").split("\n")]


def lines_of(path: Path) -> Iterator[str]:
    """All lines of a file, without their ends."""
    for lines in read_lines(Chunk(path, 0, path.stat().st_size)):
        yield from lines


@dataclass(frozen=True)
class TextFile:
    """What was found in a text file."""

    path: Path
    name: str
    """By which users know it."""
    num_lines: int
    sha256: str
    """Of the chunks' SHA-256 digests, one after the other."""
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Text:
    """The lines of some files, one file after the other, as one text."""

    files: tuple[TextFile, ...]

    @property
    def num_lines(self) -> int:
        return sum(file.num_lines for file in self.files)

    @property
    def chunks(self) -> list[Chunk]:
        return [chunk for file in self.files for chunk in file.chunks]

    def place(self, number: int) -> str:
        """Where line `number`, from 0, stands: `file:line`, the line from 1 in that file."""
        for file in self.files:
            if number < file.num_lines:
                return f"{file.name}:{number + 1}"
            number -= file.num_lines
        raise IndexError("the text has fewer lines")

    def line(self, number: int) -> str:
        """Line `number`, from 0, without its end."""
        lines = chain.from_iterable(lines_of(file.path) for file in self.files)
        return next(islice(lines, number, None))


def inspect_files(paths: Sequence[Path], workers: "Workers", generated: Path) -> list[TextFile]:
    """Count the lines of files and hash their content; those below `generated` are known by their name there.

    Raises:
        UserError: a file cannot be read, is empty, or a line is not UTF-8.
    """
    chunks = [_chunks_of(path) for path in paths]
    found = workers.map(_inspect_chunk, list(chain.from_iterable(chunks)))
    files = []
    with progress("reading", sum(chunk.num_bytes for chunk in chain.from_iterable(chunks))) as advance:
        for path, of_file in zip(paths, chunks, strict=True):
            digest, num_lines = hashlib.sha256(), 0
            for chunk, facts in zip(of_file, found, strict=False):
                if facts.fault is not None:
                    line, reason = facts.fault
                    raise UserError(f"{path}:{num_lines + line}: not UTF-8 ({reason}); convert the file to UTF-8")
                num_lines += facts.num_lines
                digest.update(facts.digest)
                advance(chunk.num_bytes)
            name = path.relative_to(generated) if path.is_relative_to(generated) else path
            files.append(TextFile(path, str(name), num_lines, digest.hexdigest(), tuple(of_file)))
    return files


def _chunks_of(path: Path) -> list[Chunk]:
    try:
        chunks = split_file(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if not chunks:
        raise UserError(f"{path} is empty")
    return chunks


@dataclass(frozen=True)
class _Facts:
    """What was found in a chunk."""

    num_lines: int
    digest: bytes
    fault: tuple[int, str] | None = None
    """Line of the chunk, from 1, that is not UTF-8, and why."""


def _inspect_chunk(chunk: Chunk) -> _Facts:
    digest, num_lines = hashlib.sha256(), 0
    for block in read_blocks(chunk):
        try:
            block.decode("utf-8")
        except UnicodeDecodeError as error:
            return _Facts(0, b"", (num_lines + block.count(b"\n", 0, error.start) + 1, error.reason))
        digest.update(block)
        num_lines += block.count(b"\n") + (not block.endswith(b"\n"))
    return _Facts(num_lines, digest.digest())


class WorkerDiedError(UserError):
    """A worker process ended without a result. What the others have finished remains of use."""


class Workers:
    """Processes that work through lists of tasks; results come in the order of the tasks, however many there are."""

    def __init__(self, num_workers: int | None = None) -> None:
        """`num_workers`: None for as many as there are processors to use; 1 works in this process."""
        self.num_workers = num_workers or _num_processors()
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        if self.num_workers > 1:
            method = "fork" if "fork" in get_all_start_methods() else "spawn"
            context = get_context(method)
            self._executor = ProcessPoolExecutor(
                self.num_workers, mp_context=context, initializer=_end_with_the_main_process
            )
            self._executor.submit(int)  # starts the processes now, while this one has no other thread
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def map(self, function: Callable[[Task], Result], tasks: list[Task]) -> Iterator[Result]:
        """Results of `function`, which must be picklable, in order. Only a few are ever waiting to be taken.

        Raises:
            WorkerDiedError: for instance for want of memory.
        """
        if self._executor is None:
            yield from map(function, tasks)
            return
        waiting: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                waiting.append(self._executor.submit(function, task))
                if len(waiting) > 2 * self.num_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise WorkerDiedError("a worker process died, perhaps for want of memory: lower num_workers") from error


def _num_processors() -> int:
    """Those that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _end_with_the_main_process() -> None:
    """Ctrl-C reaches every process of the terminal; the main one tells the user, the workers end without a word. When
    the main one is killed they would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def copy_lines(text: Text, destination: Path, kept: Path | None) -> None:
    """Copy a text into one file, or those of its lines for which the file `kept` has a byte 1, not 0."""
    mask = None if kept is None else np.memmap(kept, np.bool_, mode="r")
    number, chunks = 0, text.chunks
    with destination.open("wb") as output:
        for remaining, chunk in zip(range(len(chunks) - 1, -1, -1), chunks, strict=True):
            if mask is None:
                _copy_chunk(chunk, output, is_last=remaining == 0)
                continue
            for block in read_blocks(chunk):
                lines = block.removesuffix(b"\n").split(b"\n")
                output.writelines(line + b"\n" for line in compress(lines, mask[number : number + len(lines)]))
                number += len(lines)


def _copy_chunk(chunk: Chunk, output: BinaryIO, *, is_last: bool) -> None:
    """Every byte, and a line end where the last line of a file lacks it and others follow."""
    block = b""
    for block in read_blocks(chunk):
        output.write(block)
    if not is_last and not block.endswith(b"\n"):
        output.write(b"\n")
