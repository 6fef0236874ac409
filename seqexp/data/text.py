"""Reading text in pieces, and working on the pieces in several processes.

Lines end in "\\n" only; a "\\r" before it is dropped. Other characters that Unicode counts as line ends (U+2028,
U+0085) are ordinary white space within a line.
"""

import ctypes
import hashlib
import os
import shutil
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import compress, pairwise
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqexp.runtime.errors import UserError

BLOCK_BYTES = 1 << 20
"""Read at a time; with the Python objects made of it, a process holds about 30 times as much."""
MIN_CHUNK_BYTES = 1 << 18
MAX_CHUNK_BYTES = 1 << 24

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


def split_file(path: Path, num_parts: int, max_bytes: int = MAX_CHUNK_BYTES) -> list[Chunk]:
    """A file in about `num_parts` chunks (more if these would be very large, fewer if very small), in order."""
    size = path.stat().st_size
    step = min(max(size // max(num_parts, 1) + 1, MIN_CHUNK_BYTES), max_bytes)
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
    """The lines of the chunk, a block at a time, without their ends. The text must be UTF-8 (see `inspect`)."""
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
    num_lines: int
    sha256: str


def inspect(path: Path) -> TextFile:
    """Count the lines and hash the content.

    Raises:
        UserError: the file cannot be read, or a line is not UTF-8.
    """
    digest = hashlib.sha256()
    num_lines = 0
    try:
        for block in read_blocks(Chunk(path, 0, path.stat().st_size)):
            _check_encoding(block, path, num_lines)
            digest.update(block)
            num_lines += block.count(b"\n") + (not block.endswith(b"\n"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return TextFile(path, num_lines, digest.hexdigest())


def _check_encoding(block: bytes, path: Path, num_lines: int) -> None:
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        number = num_lines + block.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{number}: not UTF-8 ({error.reason}); convert the file to UTF-8") from error


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
            UserError: a process died, for instance for want of memory.
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
            raise UserError("a worker process died, perhaps for want of memory: lower num_workers") from error


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


def copy_lines(source: Path, destination: Path, kept: NDArray[np.bool_] | None) -> None:
    """Copy a text file, or those of its lines that `kept`, [number of lines], says."""
    if kept is None:
        shutil.copyfile(source, destination)
        return
    number = 0
    with destination.open("wb") as output:
        for block in read_blocks(Chunk(source, 0, source.stat().st_size)):
            lines = block.removesuffix(b"\n").split(b"\n")
            output.writelines(line + b"\n" for line in compress(lines, kept[number : number + len(lines)]))
            number += len(lines)
