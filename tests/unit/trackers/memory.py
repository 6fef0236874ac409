"""A run's directory as training leaves it, and a tracker in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.runs.directory import RunDirectory, Status
from seqexp.runs.journal import Journal
from seqexp.trackers.base import Point, Tracker, TrackerConfig, TrackerError

CONFIG: dict[str, Any] = {
    "name": "numbers",
    "seed": 1,
    "model": {"component": "model/transformer", "dropout": 0.1, "encoder": {"num_layers": 2}},
    "scorer": {"bleu": {"component": "scorer/bleu", "tokenize": "13a"}},
    "validation": {"splits": ["valid"], "final_splits": None},
    "run": {"root": "outputs", "dir": None},
    "tracker": {"tensorboard": {"component": "tracker/tensorboard", "wait_seconds": 10.0}},
}


def write_updates(run: RunDirectory, *updates: int, **metrics: float) -> None:
    """An attempt that writes these updates, and is then killed."""
    with Journal(run.journal) as journal:
        for update in updates:
            journal.write("train", update, epoch=0, metrics=metrics or {"loss": 1 / update})


def finish(run: RunDirectory) -> None:
    with Journal(run.journal) as journal:
        journal.write("final", 2, split="test", metrics={"bleu": 30.0})
        journal.write("result", 3)
    run.finish({"status": "finished", "signatures": {"bleu": "nrefs:1"}, "stop_reason": "stop.max_updates=3"})


@dataclass
class MemoryConfig(TrackerConfig):
    """A tracker that keeps what it is given, once; and takes as many calls as a test allows."""

    _target_: str = "tests.unit.trackers.memory.Memory"


class Memory(Tracker):
    runs: dict[str, Any] = {}
    calls_left: int | None = None
    """Then it fails: after it took what it was given, as where an answer is lost."""

    def __init__(self, config: MemoryConfig, *, run: RunDirectory, identity: str, memory: dict[str, Any]) -> None:
        super().__init__(run=run, identity=identity, memory=memory)

    @property
    def target(self) -> str:
        return "memory"

    def look(self) -> str:
        return "memory"

    def open(self) -> bool:
        known = self.identity in self.runs
        self.kept = self.runs.setdefault(self.identity, {"points": set(), "files": [], "status": [], "tags": {}})
        self._count()
        return known

    def describe(self, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        self.kept["parameters"] = dict(parameters)
        self.kept["tags"] |= tags
        self._count()

    def log(self, points: Sequence[Point]) -> None:
        self.kept["points"] |= set(points)
        self._count()

    def attach(self, path: Path, name: str) -> None:
        self.kept["files"].append(name)
        self._count()

    def set_status(self, status: Status, time: float) -> None:
        self.kept["status"].append(status)
        self._count()

    def close(self) -> None:
        pass

    def _count(self) -> None:
        if Memory.calls_left is not None:
            Memory.calls_left -= 1
            if Memory.calls_left < 0:
                raise TrackerError("memory: lost")
