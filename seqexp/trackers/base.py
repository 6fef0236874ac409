"""Trackers show runs to people, and compare them. They follow the journal in a process of their own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.config.base import ComponentConfig, require
from seqexp.runs.directory import RunDirectory, Status


@dataclass
class TrackerConfig(ComponentConfig):
    """Base of all trackers' configs."""

    wait_seconds: float = 10.0
    """How long a run that is over waits until the tracker has everything; what is missing then, `sync` sends later."""

    def __post_init__(self) -> None:
        require(self.wait_seconds >= 0, "wait_seconds", self.wait_seconds, "a number of seconds from 0")


class TrackerError(Exception):
    """The tracker did not take what it was given, told in one line; the same may be sent again later."""


@dataclass(frozen=True)
class Point:
    """One value of a metric."""

    name: str
    """With its group, as in `train/loss`."""
    value: float
    step: int
    """The update; of `system/...`, seconds since the run began."""
    time: float
    """When it was measured, in seconds since 1970."""


class Tracker(ABC):
    """One run in one tracker. Whatever is sent twice must be there once.

    Args of every tracker:
        run: the run, which is read only.
        identity: a name for the run that no other has, so that it can be found again.
        memory: JSON values that the next process is given as this one left them. They are written together with the
            position in the journal, after what was sent.

    All methods but `look`, `environment`, `recall` and `close` may raise TrackerError.
    """

    def __init__(self, *, run: RunDirectory, identity: str, memory: dict[str, Any]) -> None:
        self.run, self.identity, self.memory = run, identity, memory

    @property
    @abstractmethod
    def target(self) -> str:
        """Where it sends to, for messages."""

    @abstractmethod
    def look(self) -> str:
        """What a person does to see the runs: a command or an address."""

    def environment(self) -> dict[str, str]:
        """Variables for the process that sends: what it must know and no file may hold."""
        return {}

    def recall(self) -> bool:
        """Whether the memory is about the place that is sent to now; if not it is emptied, and all is to be sent."""
        return True

    @abstractmethod
    def open(self) -> bool:
        """Find the run, or make it. False: nothing that was sent before is there, so it is all to be sent (again)."""

    @abstractmethod
    def describe(self, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Parameters are the run's config; a tag can change."""

    @abstractmethod
    def log(self, points: Sequence[Point]) -> None:
        """Add values of metrics."""

    @abstractmethod
    def attach(self, path: Path, name: str) -> None:
        """Keep a copy of a file under the name `folder/file`, instead of the one that may be there."""

    @abstractmethod
    def set_status(self, status: Status, time: float) -> None:
        """`time` is that of the last thing that happened, in seconds since 1970."""

    @abstractmethod
    def close(self) -> None:
        """Give back what `open` took."""
