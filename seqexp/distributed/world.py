"""The processes that share a run's work, as each of them sees it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch

Value = TypeVar("Value")


class World:
    """One process, alone: what needs several is done by it at once, and costs nothing.

    All processes call the same methods in the same order. Values are numbers, or what JSON holds.
    """

    rank = 0
    size = 1
    num_here = 1
    """Processes on this machine."""

    def __init__(self, device: torch.device) -> None:
        """`device`: where this process computes."""
        self.device = device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes: journal, checkpoints, results."""
        return self.rank == 0

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """Sums over the processes, in float64. Fast, for every update: all must arrive within the time limit."""
        return list(numbers)

    def gather(self, value: Value) -> list[Value]:
        """The value of each process, by rank. They may take their time before it."""
        return [value]

    def from_first(self, function: Callable[[], Value]) -> Value:
        """What a function gives in the first process; the others do not call it, and may wait long."""
        return function()

    def wait(self) -> None:
        """Until every process is here; some may take their time."""

    def require_alive(self) -> None:
        """
        Raises:
            ProcessError: another process has failed.
        """

    def at(self, place: str) -> None:
        """Say where this process is, for the message should it fail: `update 7, ...`."""

    def advance(self) -> None:
        """Say that a piece of the work that this process does alone is done: who waits for it has patience anew."""

    def reports_to(self, directory: Path, fail: Callable[[str], None]) -> None:
        """Where to write what each process was doing when one of them fails, and whom to tell why.

        Args:
            directory: of the run.
            fail: is given one line, in the first process, perhaps from another thread.
        """

    def telling(self) -> AbstractContextManager[None]:
        """Context that tells the other processes of an error, which ends them too, and raises in its place why the job
        ends: the error may only follow from what befell another."""
        return nullcontext()

    def require_equal(self, value: Any, what: str) -> None:
        """
        Raises:
            ProcessError: the value differs between processes; `what` says in words what it is of.
        """
