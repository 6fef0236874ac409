"""What is finished of a long piece of work, written down so that an interrupted one goes on from there.

The ledger is a file of JSON lines beside the files that it speaks of. A part counts as finished if its line is there
and its files have the size and the SHA-256 that the line says, so a file that a crash left incomplete is made again.
"""

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from seqexp.data.text import Workers
from seqexp.runtime.files import sha256_of_file

LEDGER = "ledger.jsonl"

Entry = dict[str, Any]
"""`name`, `value` (what the part's function returned) and `files`: [path below the directory, bytes, SHA-256]."""


class Part(Protocol):
    """A piece of work for a process."""

    @property
    def name(self) -> str:
        """Unique, and another one for other input."""

    def outputs(self) -> list[Path]:
        """The files that the work leaves."""


AnyPart = TypeVar("AnyPart", bound=Part)


class Ledger:
    """Does work that is not done yet. Results are JSON values."""

    def __init__(self, directory: Path, workers: Workers) -> None:
        """`directory` holds the ledger and, at any depth, the files of the work."""
        self.directory = directory
        self.workers = workers
        self._path = directory / LEDGER
        self._entries = {entry["name"]: entry for entry in self._read()}
        self.num_found = len(self._entries)

    def map(self, function: Callable[[AnyPart], Any], parts: Sequence[AnyPart]) -> Iterator[Any]:
        """What `function`, which must be picklable, makes of each part, in order."""
        tasks = [(part, self._entries.get(part.name)) for part in parts]
        work = functools.partial(_finish, function, self.directory)
        for (_, before), entry in zip(tasks, self.workers.map(work, tasks), strict=True):
            self._keep(before, entry)
            yield entry["value"]

    def once(self, name: str, function: Callable[[], tuple[Any, Sequence[Path]]]) -> Any:
        """What `function`, which gives a result and the files that it wrote, makes in this process."""
        before = self._entries.get(name)
        if before is not None and _is_intact(self.directory, before):
            return before["value"]
        value, files = function()
        self._keep(before, _entry(self.directory, name, value, files))
        return value

    def _keep(self, before: Entry | None, entry: Entry) -> None:
        if entry == before:
            return
        self._entries[entry["name"]] = entry
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def _read(self) -> Iterator[Entry]:
        """The entries that are there; a last line that a kill tore is cut off."""
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._path.write_bytes(whole)
        yield from map(json.loads, whole.splitlines())


def _finish(function: Callable[[AnyPart], Any], directory: Path, task: tuple[AnyPart, Entry | None]) -> Entry:
    part, entry = task
    if entry is not None and _is_intact(directory, entry):
        return entry
    value = function(part)
    return _entry(directory, part.name, value, part.outputs())


def _entry(directory: Path, name: str, value: Any, files: Sequence[Path]) -> Entry:
    found = [[str(path.relative_to(directory)), path.stat().st_size, sha256_of_file(path)] for path in files]
    return {"name": name, "value": value, "files": found}


def _is_intact(directory: Path, entry: Entry) -> bool:
    for name, size, sha256 in entry["files"]:
        path = directory / name
        if not path.is_file() or path.stat().st_size != size or sha256_of_file(path) != sha256:
            return False
    return True
