"""A run's directory: `<root>/<name>/<key>`, and the files at its top."""

import json
from pathlib import Path
from typing import Any

from seqexp.runs.lease import LEASE
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json, write_text
from seqexp.runtime.secrets import mask, mask_values


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

    def refuse_other_run(self, key: str) -> None:
        """
        Raises:
            UserError: a run of another config or other data lives here.
        """
        if self.provenance().get("key", key) != key:
            raise UserError(f"{self.path} holds a run of another config or other data: give run.dir= another name")

    def describe(self, config: dict[str, Any], overrides: list[str], provenance: dict[str, Any]) -> None:
        """Write what this run is, without secrets; on resuming, the same again."""
        write_json(self.config, mask_values(config))
        write_text(self.path / "overrides.txt", "".join(f"{mask(override)}\n" for override in overrides))
        if not (self.path / "provenance.json").exists():
            write_json(self.path / "provenance.json", mask_values(provenance))

    def read_config(self) -> dict[str, Any]:
        """The saved config.

        Raises:
            UserError: it is damaged.
        """
        try:
            config: dict[str, Any] = json.loads(self.config.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{self.config}: damaged: {error}") from None
        return config

    def provenance(self) -> dict[str, Any]:
        """Where the run comes from; empty where it was killed before it wrote that."""
        path = self.path / "provenance.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def result(self) -> dict[str, Any] | None:
        """What the run came to, None while it is unfinished."""
        path = self.path / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def finish(self, result: dict[str, Any]) -> Path:
        path = self.path / "result.json"
        write_json(path, result)
        return path


def fresh_sibling(path: Path) -> Path:
    """`<key>-2`, `<key>-3`, ...: the first that does not exist yet."""
    number = 2
    while (sibling := path.with_name(f"{path.name}-{number}")).exists():
        number += 1
    return sibling


def open_run(path: str | Path) -> RunDirectory:
    """An existing run.

    Raises:
        UserError: the directory is not that of a run.
    """
    run = RunDirectory(Path(path))
    if not run.config.exists():
        raise UserError(f"run={path} is not the directory of a run: it holds no config.json")
    return run
