"""A run's directory: `<root>/<name>/<key>`, and the files at its top."""

import json
import os
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from seqexp.runs.journal import last_line
from seqexp.runs.lease import LEASE
from seqexp.runs.lock import living_owner
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json, write_text
from seqexp.runtime.secrets import mask, mask_values


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
    def lease(self) -> Path:
        return self.path / LEASE

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

    def describe(
        self, config: dict[str, Any], overrides: list[str], provenance: dict[str, Any], changes: str = ""
    ) -> None:
        """Write what this run is, without secrets. On resuming, the config again; of the provenance the first stays.

        Args:
            provenance: code, data and machine.
            changes: uncommitted changes of the code, as a diff; empty for none.
        """
        write_json(self.config, mask_values(config))
        write_text(self.path / "overrides.txt", "".join(f"{mask(override)}\n" for override in overrides))
        if not self.provenance():
            if changes:
                write_text(self.path / "code.diff", mask(changes) + "\n")
            write_json(self.path / "provenance.json", mask_values(provenance))

    def read_config(self) -> dict[str, Any]:
        """The saved config.

        Raises:
            UserError: it is damaged.
        """
        config = read_json(self.config)
        if config is None:
            raise UserError(f"{self.config}: not there")
        return config

    def provenance(self) -> dict[str, Any]:
        """Key, data and code of the run; empty before its first attempt."""
        return read_json(self.path / "provenance.json") or {}

    def result(self) -> dict[str, Any] | None:
        """What the run came to, None while it is unfinished."""
        return read_json(self.path / "result.json")

    def finish(self, result: dict[str, Any]) -> Path:
        path = self.path / "result.json"
        write_json(path, result)
        return path

    def holder(self) -> dict[str, Any] | None:
        """Who writes here now; None for nobody."""
        return living_owner(self.lease)

    def status(self) -> Status:
        if self.result() is not None:
            return Status.finished
        if self.holder() is not None:
            return Status.running
        last = last_line(self.journal)
        return Status.failed if last is not None and last["kind"] == "failed" else Status.interrupted


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
    """The runs in a folder, in the order of their names.

    Raises:
        UserError: there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"root={root} is not there: no run has written to it")
    for folder, names, files in os.walk(root):
        names.sort()
        if "config.json" in files and "checkpoints" in names:  # a tracker's copies of files have no checkpoints
            names.clear()  # runs do not lie in runs
            yield RunDirectory(Path(folder))


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


def read_json(path: Path) -> dict[str, Any] | None:
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
