"""What a training process and its machine are busy with, as the process that sends its figures sees it."""

import time
from collections.abc import Mapping
from typing import Any

import psutil

from seqexp.runs.directory import RunDirectory
from seqexp.runs.journal import Journal, read_journal
from seqexp.runs.lock import living_owner, this_process

SAMPLE_SECONDS = 10.0
MEGABYTE = 1e6


class SystemMetrics:
    """Writes a sample to a journal of its own every ten seconds; from there it goes the way of the other journal.

    Names are those that MLflow shows on a page of their own.
    """

    def __init__(self, run: RunDirectory, journal: Journal) -> None:
        self.run = run
        self._journal = journal
        self._last = time.monotonic()
        self._started = next((float(line["time"]) for line in read_journal(run.journal)), time.time())
        self._process: psutil.Process | None = None
        psutil.cpu_percent()  # the share of the time until the next call is what that call gives

    def sample_when_due(self) -> None:
        if time.monotonic() - self._last < SAMPLE_SECONDS:
            return
        self._last = time.monotonic()
        metrics = {**machine(), **self._of_process()}
        self._journal.write("system", max(0, round(time.time() - self._started)), metrics=metrics)

    def _of_process(self) -> dict[str, float]:
        """Of the process that holds the run's lease, with its workers; none where it runs on another machine."""
        owner = living_owner(self.run.lease)
        if owner is None or owner["host"] != this_process()["host"]:
            return {}
        try:
            if self._process is None or self._process.pid != owner["pid"]:
                self._process = psutil.Process(owner["pid"])
                self._process.cpu_percent()
            family = [self._process, *self._process.children(recursive=True)]
            memory = sum(process.memory_info().rss for process in family)
            cpu = self._process.cpu_percent()
        except psutil.Error:
            return {}
        return {"process_cpu_utilization_percentage": cpu, "process_memory_megabytes": memory / MEGABYTE}


def machine() -> Mapping[str, Any]:
    memory, disk = psutil.virtual_memory(), psutil.disk_usage("/")
    return {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / MEGABYTE,
        "system_memory_usage_percentage": memory.percent,
        "disk_usage_percentage": disk.percent,
    }
