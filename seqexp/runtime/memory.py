"""How the process asks the operating system for memory, how much it has, and how much there is."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import psutil


def use_large_pages() -> None:
    """Back torch's large CPU tensors with huge pages, unless the user decided otherwise.

    Training makes and frees tensors of many megabytes in every update, and most of that cost is page faults: with huge
    pages an update of a small model takes about a tenth less time. torch reads the variable when it first allocates.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def free_memory(cgroups: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that the process may still take: what is free in the machine, or in the smallest of its control groups,
    by which batch systems and containers share out a machine."""
    return min([int(psutil.virtual_memory().available), *_free_in_groups(cgroups, membership)])


def _free_in_groups(cgroups: Path, membership: Path) -> Iterator[int]:
    """What is left in each group that has a limit. Files in memory are no use of it: they give way."""
    lines = membership.read_text().splitlines() if membership.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = cgroups / controllers
        limit, usage, files = (
            ("memory.max", "memory.current", "inactive_file")
            if not controllers
            else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        )
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            with contextlib.suppress(OSError, ValueError):  # no such group here, or its limit is "max"
                statistics = dict(entry.split() for entry in (folder / "memory.stat").read_text().splitlines())
                most, used = (int((folder / name).read_text()) for name in (limit, usage))
                yield most - used + int(statistics.get(files, 0))
            if folder == root:
                break


def resident_memory() -> int:
    """Bytes of the process that are in memory."""
    return int(psutil.Process().memory_info().rss)


def reset_peak_memory() -> None:
    """Let `peak_memory` count from now on, where the system can do that (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Most bytes of the process that were in memory at once, since it began or since `reset_peak_memory`."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def limit_memory(num_bytes: int) -> None:
    """Let the process take so many bytes more and no others; if the machine runs out all the same, it ends first."""
    import resource

    data = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert data is not None
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (int(data[1]) * 1024 + num_bytes, hard))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
