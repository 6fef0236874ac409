from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqexp.runs.directory import RunDirectory
from tests.unit.trackers.memory import CONFIG, Memory


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunDirectory]:
    def make(key: str = "0123456789ab", root: Path = tmp_path / "outputs", **changes: Any) -> RunDirectory:
        run = RunDirectory(root / "numbers" / key)
        run.create()
        git = {"here": {"commit": "c" * 40, "changed": False}}
        provenance = {"key": key, "data": "d" * 64, "git": git, "python": "3", "packages": {}, "folder": str(tmp_path)}
        run.describe({**CONFIG, **changes}, ["seed=1"], provenance, "")
        return run

    return make


@pytest.fixture
def run(make_run: Callable[..., RunDirectory]) -> RunDirectory:
    return make_run()


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    Memory.runs, Memory.calls_left = {}, None
    yield
    Memory.runs, Memory.calls_left = {}, None
