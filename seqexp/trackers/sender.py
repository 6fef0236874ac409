"""Sends a run to a tracker, and remembers in the run's directory what is sent."""

import json
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from seqexp.config.build import build
from seqexp.runs.directory import RunDirectory, Status
from seqexp.runs.identity import digest
from seqexp.runs.journal import read_after
from seqexp.runtime.files import write_json
from seqexp.trackers import facts
from seqexp.trackers.base import Point, Tracker, TrackerConfig
from seqexp.trackers.points import points_of

FOLDER = "tracking"
"""Of a run's directory: what is sent, by the name of the tracker; the log and the lease of the process that sends."""

SYSTEM = "system.jsonl"
"""In that folder, a journal of what the process that sends observes of the machine."""

BATCH = 1000
"""Points that are sent together at most, but for those of one line."""


class Sender:
    """One run and one tracker, as a context. Killed at any moment: the next goes on, nothing is missing or doubled."""

    def __init__(self, name: str, config: TrackerConfig, run: RunDirectory) -> None:
        self.run, self.name = run, name
        self.path = run.path / FOLDER / f"{name}.json"
        self._state = _read(self.path) or {"identity": uuid.uuid4().hex, "memory": {}, **_nothing_sent()}
        identity, memory = self._state["identity"], self._state["memory"]
        self.tracker: Tracker = build(config, run=run, identity=identity, memory=memory)
        if not self.tracker.recall():
            self._state.update(_nothing_sent())
        self._is_open = False

    def send(self) -> None:
        """Send everything that is there and was not sent yet.

        Raises:
            TrackerError: the tracker did not take it; what it took before is remembered.
        """
        if not self._is_open:
            self._open()
        status, time = facts.status(self.run)
        self._describe()
        self._send_points()
        self._attach(log_too=status != Status.running)
        # While it runs, only that it runs is news.
        news = [status, None if status == Status.running else time]
        if self._state["status"] != news:
            self.tracker.set_status(status, time)
            self._remember(status=news)

    def num_unsent(self) -> int:
        """Lines of the journal that the tracker does not have."""
        return sum(1 for path, position in self._journals() for _ in read_after(path, position))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tracker.close()

    def _open(self) -> None:
        # The identity must be on disk before the tracker sees it: it is how a run made just before a kill is found.
        self._remember()
        try:
            if not self.tracker.open():
                self._state.update(_nothing_sent())
        finally:
            self._remember(status=None)
        self._is_open = True

    def _describe(self) -> None:
        parameters, tags = facts.parameters(self.run.read_config()), facts.tags(self.run)
        described = digest([parameters, tags])
        if described != self._state["described"]:
            self.tracker.describe(parameters, tags)
            self._remember(described=described)

    def _send_points(self) -> None:
        for path, sent in self._journals():
            points: list[Point] = []
            reached, position = dict(self._state["reached"]), sent
            for line, position in read_after(path, sent):
                points += points_of(line, reached)
                if len(points) >= BATCH:
                    self._log(path, points, position, reached)
                    points = []
            if position != self._state["positions"].get(path.name, 0):
                self._log(path, points, position, reached)

    def _log(self, path: Path, points: list[Point], position: int, reached: dict[str, int]) -> None:
        if points:
            self.tracker.log(points)
        positions = {**self._state["positions"], path.name: position}
        self._remember(positions=positions, reached=dict(reached))

    def _attach(self, *, log_too: bool) -> None:
        """Send files that changed; the log, which changes always, only where it is asked for."""
        for path, name in facts.files(self.run):
            if name == "log.txt" and not log_too:
                continue
            found = path.stat()
            version = [found.st_size, found.st_mtime_ns]
            if self._state["files"].get(name) != version:
                self.tracker.attach(path, name)
                self._remember(files={**self._state["files"], name: version})

    def _journals(self) -> list[tuple[Path, int]]:
        """The journals, each with the position up to which it is sent."""
        found = []
        for path in (self.run.journal, self.run.path / FOLDER / SYSTEM):
            position = self._state["positions"].get(path.name, 0)
            # A journal that is shorter than what was sent of it is another one.
            is_other = path.exists() and path.stat().st_size < position
            found.append((path, 0 if is_other else position))
        return found

    def _remember(self, **changes: Any) -> None:
        self._state.update(changes)
        write_json(self.path, self._state)


def _nothing_sent() -> dict[str, Any]:
    return {"positions": {}, "reached": {}, "files": {}, "described": None, "status": None}


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
