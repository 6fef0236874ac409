"""A lease on a run directory: one process at a time writes there, and a dead owner's lease is taken over."""

import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from seqexp.runs.lock import claim, this_process
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json

HEARTBEAT_SECONDS = 10.0
LEASE = "lease.json"


class Lease:
    """Context in which this process owns the run directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / LEASE
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Take the lease.

        Raises:
            UserError: another living process holds it.
        """
        holder = claim(self.path)
        if holder is not None:
            raise UserError(
                f"{self.path.parent} is in use by process {holder['pid']} on {holder['host']}: wait for it, end it, "
                "or give this run a directory of its own with run.dir="
            )
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._heart.join()
        self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            write_json(self.path, this_process())
