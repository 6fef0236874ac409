"""A lease on a run directory: one process at a time writes there, and a dead owner's lease is taken over."""

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


class LeaseHeldError(UserError):
    """Another living process owns the directory."""


class Lease:
    """Context in which this process owns the run directory. No file locks: shared file systems do not keep them."""

    def __init__(self, directory: Path, advice: str = "give this run a directory of its own with run.dir=") -> None:
        """`advice`: what somebody can do who must not wait for the present owner."""
        self.path = directory / "lease.json"
        self._advice = advice
        self._owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": _start_time(os.getpid())}
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="lease heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Take the lease.

        Raises:
            LeaseHeldError: another living process holds it.
        """
        holder = _read(self.path)
        if holder is not None and _alive(holder):
            raise LeaseHeldError(
                f"{self.path.parent} is in use by process {holder['pid']} on {holder['host']}: wait for it, end it, "
                f"or {self._advice}"
            )
        self._write()
        held = _read(self.path)
        if held is None or any(held[key] != self._owner[key] for key in self._owner):
            raise LeaseHeldError(f"{self.path.parent} was taken by another process at the same moment")
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
            self._write()

    def _write(self) -> None:
        write_json(self.path, {**self._owner, "heartbeat": time.time()})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        holder: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return holder if {"host", "pid", "started", "heartbeat"} <= holder.keys() else None


def _alive(holder: dict[str, Any]) -> bool:
    if holder["host"] == socket.gethostname():
        # A process number is used again some day; together with the start time it is unique.
        return bool(_start_time(holder["pid"]) == holder["started"])
    return bool(time.time() - holder["heartbeat"] < STALE_SECONDS)


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
