"""A lease on a run directory: one process at a time writes there, and a dead owner's lease is taken over."""

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 120.0
"""A lease without a heartbeat for this long belongs to nobody."""
OWNER = ("host", "pid", "started", "job", "restart")


class Lease:
    """Context in which this process owns the run directory. No file locks: shared file systems do not keep them."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "lease.json"
        self._owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": _start_time(os.getpid()),
            "job": os.environ.get("SLURM_JOB_ID"),
            "restart": int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        }
        self.taken_from: str | None = None
        """Whose lease was taken over and why, None where the directory was free."""
        self._lost = False
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Take the lease.

        Raises:
            UserError: another living process holds it.
        """
        holder = read_holder(self.path)
        if holder is not None:
            who = f"process {holder['pid']} on {holder['host']}"
            death = _cause_of_death(holder, self._owner)
            if death is None:
                raise UserError(
                    f"{self.path.parent} is in use by {who}: wait for it, end it, "
                    "or give this run a directory of its own with run.dir="
                )
            self.taken_from = f"{who} ({death})"
        self._write()
        if not self._is_ours():
            raise UserError(f"{self.path.parent} was taken by another process at the same moment")
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._heart.join()
        if self._is_ours():
            self.path.unlink(missing_ok=True)

    def require(self) -> None:
        """To be called before writing.

        Raises:
            UserError: another process has taken the lease over, because this one gave no sign of life for too long.
        """
        self._lost = self._lost or not self._is_ours()
        if self._lost:
            raise UserError(f"{self.path.parent} was taken over by another process: this one writes no more")

    def _is_ours(self) -> bool:
        holder = read_holder(self.path)
        return holder is not None and all(holder[key] == self._owner[key] for key in OWNER)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_SECONDS):
            if not self._is_ours():
                self._lost = True
                return
            with contextlib.suppress(OSError):  # a full disk is told where something is to be saved
                self._write()

    def _write(self) -> None:
        write_json(self.path, {**self._owner, "heartbeat": time.time()})


def read_holder(path: Path) -> dict[str, Any] | None:
    """Who holds the lease in a file, dead or alive; None for nobody."""
    try:
        holder: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return holder if {*OWNER, "heartbeat"} <= holder.keys() else None


def is_alive(holder: dict[str, Any]) -> bool:
    """Whether the holder of a lease may still be writing."""
    return _cause_of_death(holder, {"job": None, "restart": 0}) is None


def _cause_of_death(holder: dict[str, Any], owner: dict[str, Any]) -> str | None:
    """How we know that a holder writes no more; None if it may."""
    if holder["job"] is not None and holder["job"] == owner["job"] and holder["restart"] < owner["restart"]:
        return f"job {holder['job']} was started again"
    if holder["host"] == socket.gethostname():
        # A process number is used again some day; together with the start time it is unique.
        return None if _start_time(holder["pid"]) == holder["started"] else "it no longer runs"
    silence = time.time() - holder["heartbeat"]
    return None if silence < STALE_SECONDS else f"no sign of life for {silence:.0f} s"


def _start_time(pid: int) -> str | None:
    """When a process of this machine started, None where it no longer runs."""
    try:
        # The command name in brackets may hold spaces; field 22 of the whole line is the 20th behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _start_without_proc(pid)


def _start_without_proc(pid: int) -> str | None:
    """Where there is no /proc (macOS), a living process counts as the owner."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
