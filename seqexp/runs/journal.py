"""The journal: every figure of a run, in the order in which it arose, one JSON object a line."""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

LONGEST_LINE = 1 << 16
"""Bytes at the end of a journal that hold at least its last line."""


class Journal:
    """Appends to `journal.jsonl`. Each line carries the attempt and the update; a later attempt supersedes."""

    def __init__(self, path: Path, may_write: Callable[[], None] = lambda: None) -> None:
        """`may_write` is called before every line, and raises where this process no longer owns the run."""
        self.path, self.may_write = path, may_write
        self.attempt = 1 + max((line.get("attempt", 0) for line in read_journal(path)), default=0)
        _end_last_line(path)
        self._file = path.open("a", encoding="utf-8")

    def write(self, kind: str, update: int, **values: Any) -> None:
        """Append one line and hand it to the operating system, so that a killed process loses nothing."""
        self.may_write()
        line = {"kind": kind, "attempt": self.attempt, "update": update, "time": round(time.time(), 3), **values}
        self._file.write(json.dumps(_finite(line), ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


class NoJournal(Journal):
    """That of a process which writes none, as another does."""

    def __init__(self) -> None:
        self.may_write = lambda: None

    def write(self, kind: str, update: int, **values: Any) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; a last line torn by a crash is ignored, a file that does not exist is empty."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def read_after(path: Path, position: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The complete lines behind a position in bytes, each with the position behind it; torn ones are skipped."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):
                return  # it is being written, or a crash left it: the next attempt cuts it off
            position += len(line)
            with contextlib.suppress(ValueError):
                yield json.loads(line), position


def last_line(path: Path) -> dict[str, Any] | None:
    """The last complete line, None where there is none."""
    if not path.exists():
        return None
    start = max(path.stat().st_size - LONGEST_LINE, 0)
    lines = [line for line, _ in read_after(path, start)]
    return lines[-1] if lines else None


def note_failure(path: Path, message: str) -> None:
    """Write that the last attempt has failed, unless its own process, which has ended, said so or was done."""
    last = last_line(path)
    if last is None or last["kind"] in ("failed", "result"):
        return
    with Journal(path) as journal:
        journal.attempt = last["attempt"]
        journal.write("failed", 0, error=message)


def _end_last_line(path: Path) -> None:
    """Cut off a last line that a crash left without its end, so that the next one starts a line of its own."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)


def _finite(value: Any) -> Any:
    """JSON has no nan and no infinity: write them as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
