"""A run's directory: `<root>/<name>/<key>`, and the files at its top."""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from seqexp.runs.journal import read_journal
from seqexp.runs.lease import is_alive, read_holder
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json, write_text


class Status(StrEnum):
    """What a directory says of its run."""

    finished = "finished"
    running = "running"
    """A living process holds its lease."""
    failed = "failed"
    """The last attempt ended in an error."""
    interrupted = "interrupted"
    """It was killed or stopped; the same command goes on."""


class RunDirectory:
    """Paths and small files of one run. Others write below it (`generate/...`), never over it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    def create(self) -> None:
        """
        Raises:
            UserError: it cannot be made, or not be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"run directory {self.path}: {error.strerror}; choose another with run.root= or run.dir="
            ) from None

    def describe(self, config: dict[str, Any], overrides: list[str], provenance: dict[str, Any], changes: str) -> None:
        """Write what this run is. On resuming, the config again; of the provenance the first stays.

        Args:
            provenance: code, data and machine.
            changes: uncommitted changes of the code, as a diff.
        """
        write_json(self.config, config)
        write_text(self.path / "overrides.txt", "".join(f"{override}\n" for override in overrides))
        if self.provenance() is None:
            if changes:
                write_text(self.path / "code.diff", changes + "\n")
            write_json(self.path / "provenance.json", provenance)

    def read_config(self) -> dict[str, Any]:
        """The saved config.

        Raises:
            UserError: it is damaged.
        """
        config = _read(self.config)
        if config is None:
            raise UserError(f"{self.config}: not there")
        return config

    def provenance(self) -> dict[str, Any] | None:
        """Key, data and code of the run; None before its first attempt."""
        return _read(self.path / "provenance.json")

    def result(self) -> dict[str, Any] | None:
        """What the run came to, None while it is unfinished."""
        return _read(self.path / "result.json")

    def finish(self, result: dict[str, Any]) -> Path:
        path = self.path / "result.json"
        write_json(path, result)
        return path

    def holder(self) -> dict[str, Any] | None:
        """Who writes here now; None for nobody."""
        holder = read_holder(self.path / "lease.json")
        return holder if holder is not None and is_alive(holder) else None

    def status(self) -> Status:
        if self.result() is not None:
            return Status.finished
        if self.holder() is not None:
            return Status.running
        last = None
        for line in read_journal(self.journal):
            last = line["kind"]
        return Status.failed if last == "failed" else Status.interrupted


def open_run(path: str | Path) -> RunDirectory:
    """An existing run.

    Raises:
        UserError: the directory is not that of a run.
    """
    run = RunDirectory(Path(path))
    if not run.config.exists():
        raise UserError(f"run={path} is not the directory of a run: it holds no config.json")
    return run


def runs_below(root: Path) -> Iterator[RunDirectory]:
    """Every run in `<root>/<name>/<key>`, by name and key."""
    for path in sorted(root.glob("*/*/config.json")):
        yield RunDirectory(path.parent)


def reruns(path: Path) -> list[RunDirectory]:
    """The directories of a run and of its reruns, `<key>`, `<key>-2`, ..., that exist, oldest first."""
    numbered = {1: path} if path.exists() else {}
    for sibling in path.parent.glob(f"{path.name}-*"):
        if match := re.fullmatch(rf"{re.escape(path.name)}-(\d+)", sibling.name):
            numbered[int(match[1])] = sibling
    return [RunDirectory(numbered[number]) for number in sorted(numbered)]


def next_rerun(path: Path) -> RunDirectory:
    """The first of `<key>`, `<key>-2`, ... after the last that exists."""
    existing = reruns(path)
    if not existing:
        return RunDirectory(path)
    last = existing[-1].path
    number = 1 if last == path else int(last.name.rpartition("-")[2])
    return RunDirectory(path.with_name(f"{path.name}-{number + 1}"))


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON file; None where there is none.

    Raises:
        UserError: it is damaged.
    """
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise UserError(f"{path}: damaged: {error}") from None
    return value
