"""A lease on a run directory: one process at a time writes there, and a dead owner's lease is taken over."""

import contextlib
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from seqexp.runs.lock import cause_of_death, claim, is_this_process, read_owner, this_process
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json

HEARTBEAT_SECONDS = 10.0
CHECK_SECONDS = 1.0
"""Who has looked at the lease within this time need not look again: it takes longer than that to be taken over."""
LEASE = "lease.json"


class LeaseHeldError(UserError):
    """Another living process owns the directory."""


class Lease:
    """Context in which this process owns a directory."""

    def __init__(self, directory: Path, advice: str = "give this run a directory of its own with run.dir=") -> None:
        """`advice`: what somebody can do who must not wait for the present owner."""
        self.path = directory / LEASE
        self.taken_from: str | None = None
        """Whose lease was taken over and why, None where the directory was free."""
        self._advice = advice
        self._lost = False
        self._checked = float("-inf")
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Take the lease.

        Raises:
            LeaseHeldError: another living process holds it.
        """
        before = read_owner(self.path)
        holder = claim(self.path)
        if holder is not None:
            raise LeaseHeldError(
                f"{self.path.parent} is in use by process {holder['pid']} on {holder['host']}: wait for it, end it, "
                f"or {self._advice}"
            )
        if before is not None:
            self.taken_from = f"process {before['pid']} on {before['host']} ({cause_of_death(before)})"
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._heart.join()
        if is_this_process(read_owner(self.path)):
            self.path.unlink(missing_ok=True)

    def require(self) -> None:
        """To be called before writing.

        Raises:
            UserError: another process has taken the lease over, because this one gave no sign of life for too long.
        """
        if not self._lost and time.monotonic() - self._checked > CHECK_SECONDS:
            self._lost = not is_this_process(read_owner(self.path))
            self._checked = time.monotonic()
        if self._lost:
            raise UserError(f"{self.path.parent} was taken over by another process: this one writes no more")

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            if not is_this_process(read_owner(self.path)):
                self._lost = True
                return
            with contextlib.suppress(OSError):  # a full disk is told where something is to be saved
                write_json(self.path, this_process())
