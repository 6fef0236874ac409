"""Who owns what, by a file that only one process can make. No file locks: shared file systems do not keep them."""

import json
import os
import random
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

STALE_SECONDS = 120.0
"""What an owner on another host has not renewed for this long belongs to nobody."""


class Lock:
    """Context of which one process at a time is inside; the others wait their turn. For moments, not for hours.

    Raises (on entering):
        TimeoutError: a living process has not left it for `wait_seconds`.
    """

    def __init__(self, path: Path, *, wait_seconds: float) -> None:
        self.path = path
        self.wait_seconds = wait_seconds

    def __enter__(self) -> Self:
        until = time.monotonic() + self.wait_seconds
        while (owner := claim(self.path)) is not None:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.path} is held by process {owner['pid']} on {owner['host']}")
            time.sleep(random.uniform(0.01, 0.05))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)


def this_process() -> dict[str, Any]:
    """This process as an owner, and that it lives now."""
    pid = os.getpid()
    job, restart = os.environ.get("SLURM_JOB_ID"), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    owner = {"host": socket.gethostname(), "pid": pid, "started": start_time(pid), "job": job, "restart": restart}
    return {**owner, "heartbeat": time.time()}


def is_this_process(owner: dict[str, Any] | None) -> bool:
    return owner is not None and all(owner[key] == value for key, value in this_process().items() if key != "heartbeat")


def claim(path: Path) -> dict[str, Any] | None:
    """Make `path` name this process as its owner; where a living process is its owner already, return that one."""
    while True:
        found = read_owner(path)
        if found is not None and is_alive(found):
            return found
        if path.exists():
            _remove(path, found)
        if _create(path, this_process()):
            return None


def living_owner(path: Path) -> dict[str, Any] | None:
    """The process that `path` names, None where it is dead or there is no such file."""
    owner = read_owner(path)
    return owner if owner is not None and is_alive(owner) else None


def is_alive(owner: dict[str, Any]) -> bool:
    return cause_of_death(owner) is None


def cause_of_death(owner: dict[str, Any]) -> str | None:
    """How we know that an owner writes no more; None if it may."""
    now = this_process()
    if owner["job"] is not None and owner["job"] == now["job"] and owner["restart"] < now["restart"]:
        return f"job {owner['job']} was started again"
    if owner["host"] == now["host"]:
        # A process number is used again some day; together with the start time it is unique.
        return None if start_time(owner["pid"]) == owner["started"] else "it no longer runs"
    silence = time.time() - owner["heartbeat"]
    return None if silence < STALE_SECONDS else f"no sign of life for {silence:.0f} s"


def start_time(pid: int) -> str | None:
    """When a process of this machine started, None where it no longer runs."""
    try:
        # The command name in brackets may hold spaces; field 22 of the whole line is the 20th behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _start_without_proc(pid)


def _create(path: Path, owner: dict[str, Any]) -> bool:
    """Whether it was this call that made the file. It appears with its content: nobody ever reads an empty one."""
    mine = _private(path)
    mine.write_text(json.dumps(owner), encoding="utf-8")
    try:
        os.link(mine, path)
    except FileExistsError:
        return False
    except OSError:
        return _create_without_links(path, owner)
    finally:
        mine.unlink()
    return True


def _create_without_links(path: Path, owner: dict[str, Any]) -> bool:
    """On a file system without hard links, where a reader may see the file before its content."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(owner))
    except FileExistsError:
        return False
    return True


def _remove(path: Path, dead: dict[str, Any] | None) -> None:
    """Remove the file of a dead owner. One process at a time does so, or a late one would remove a new owner's."""
    removing = path.with_name(f"{path.name}.removing")
    if not _create(removing, this_process()):
        if living_owner(removing) is None:
            removing.unlink(missing_ok=True)
        time.sleep(0.001)
        return
    if read_owner(path) == dead:
        path.unlink(missing_ok=True)
    removing.unlink()


def _private(path: Path) -> Path:
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{threading.get_ident()}")


def read_owner(path: Path) -> dict[str, Any] | None:
    """The process that `path` names, dead or alive; None where there is no such file or it is damaged."""
    try:
        owner: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return owner if this_process().keys() <= owner.keys() else None


def _start_without_proc(pid: int) -> str | None:
    """Where there is no /proc (macOS), a living process counts as the owner."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
