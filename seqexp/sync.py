"""`python -m seqexp.sync`: send the figures of runs to their trackers, all or what was missed."""

import contextlib
import os
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from seqexp.catalog import config_class
from seqexp.config.base import CommandConfig, one_or_more, require
from seqexp.config.saved import from_saved
from seqexp.plugins import run
from seqexp.runs.directory import RunDirectory, open_run, runs_below
from seqexp.runs.journal import Journal
from seqexp.runs.lease import LEASE, Lease
from seqexp.runs.lock import living_owner
from seqexp.runtime.errors import UserError
from seqexp.trackers.base import TrackerConfig, TrackerError
from seqexp.trackers.sender import FOLDER, SYSTEM, Sender
from seqexp.trackers.system import SystemMetrics

PASS_SECONDS = 1.0
"""Between two looks at the journal of a run that is followed."""

LONGEST_PAUSE_SECONDS = 30.0
"""Between two tries where a tracker takes nothing."""

NICENESS = 10
"""The training beside it comes first."""


@dataclass
class SyncConfig(CommandConfig):
    """Sends what trackers do not have yet. Twice gives the same as once; it needs no torch and no GPU."""

    run: Any = None
    """Directory of a run, or a list of them."""
    root: str | None = None
    """All runs below this directory."""
    tracker: dict[str, TrackerConfig] = field(default_factory=dict)
    """Send to these instead of those that the config of each run names."""
    follow: bool = False
    """Go on until the process that trains this one run has ended: training starts this command so."""

    def __post_init__(self) -> None:
        require((self.run is None) != (self.root is None), "run", self.run, "give either run= or root=")
        if self.run is not None:
            self.run = one_or_more("run", self.run, "directory")
        single = self.run is not None and len(self.run) == 1
        require(not self.follow or single, "follow", self.follow, "it needs run= with one directory")


def main(config: SyncConfig) -> None:
    if config.follow:
        follow(open_run(config.run[0]), config)
        return
    runs = [open_run(path) for path in config.run] if config.run else list(runs_below(Path(config.root or ".")))
    if not runs:
        raise UserError(f"root={config.root}: there is no run below it")
    send(runs, config)


def send(runs: list[RunDirectory], config: SyncConfig) -> None:
    """Send what is missing of each run.

    Raises:
        UserError: a tracker did not take it; the message counts what is unsent.
    """
    failures: dict[str, Failure] = {}
    for each in runs:
        configs = trackers_of(each, config)
        owner = living_owner(each.path / FOLDER / LEASE)
        if not configs:
            print(f"{each.path}: its config names no tracker; give one with tracker=[mlflow]")
        elif owner is not None:
            print(f"{each.path}: process {owner['pid']} on {owner['host']} is sending it")
        else:
            (each.path / FOLDER).mkdir(exist_ok=True)
            with Lease(each.path / FOLDER):
                for name in configs:
                    with Sender(name, configs[name], each) as sender:
                        send_once(sender, failures)
    if failures:
        raise UserError("; ".join(map(str, failures.values())))


@dataclass
class Failure:
    """A tracker that took nothing, and how much it lacks."""

    error: TrackerError
    unsent: list[int] = field(default_factory=list)
    """Lines of each run."""

    def __str__(self) -> str:
        runs = "" if len(self.unsent) == 1 else f"s of {len(self.unsent)} runs"
        return f"{self.error}: {sum(self.unsent)} lines of the journal{runs} are unsent"


def send_once(sender: Sender, failures: dict[str, Failure]) -> None:
    """Send what is missing of a run, unless its tracker failed already: each try may take seconds."""
    missing, target = sender.num_unsent(), sender.tracker.target
    if target not in failures:
        try:
            sender.send()
            print(f"{sender.run.path}: {target} has everything ({missing} new lines of the journal)")
            return
        except TrackerError as error:
            failures[target] = Failure(error)
    failures[target].unsent.append(sender.num_unsent())


def follow(each: RunDirectory, config: SyncConfig) -> None:
    """Send what a run writes, as it writes it, until nobody holds the run's lease any more.

    Raises:
        UserError: not everything could be sent in the end.
    """
    give_way()
    (each.path / FOLDER).mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(wait_for_lease(each))
        system = SystemMetrics(each, stack.enter_context(Journal(each.path / FOLDER / SYSTEM)))
        configs = trackers_of(each, config)
        following = [Followed(stack.enter_context(Sender(name, configs[name], each))) for name in configs]
        is_last = False
        while not is_last:
            # Asked before sending: what was written until the end is sent in the last round.
            is_last = living_owner(each.lease) is None
            system.sample_when_due()
            for followed in following:
                followed.send(now=is_last)
            until = time.monotonic() + PASS_SECONDS
            while not is_last and time.monotonic() < until and living_owner(each.lease) is not None:
                time.sleep(PASS_SECONDS / 5)
    failures = [Failure(f.error, [f.sender.num_unsent()]) for f in following if f.error is not None]
    if failures:
        raise UserError("; ".join(map(str, failures)))


def give_way() -> None:
    """Let the training beside it have the processors first."""
    os.nice(NICENESS)
    # Linux shares processors out among sessions before it looks at the niceness of their processes.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(NICENESS))


class Followed:
    """A tracker that is tried again, ever less often, as long as it takes nothing."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.error: TrackerError | None = None
        self._next = 0.0
        self._pause = PASS_SECONDS

    def send(self, *, now: bool) -> None:
        """Send what there is, if it is time to try or has to be `now`."""
        started = time.monotonic()
        if not now and started < self._next:
            return
        before = self.error
        try:
            self.sender.send()
            self.error, self._pause = None, PASS_SECONDS
            # A slow tracker, or one with many who wait their turn, is asked less often.
            self._next = started + min(4 * (time.monotonic() - started), LONGEST_PAUSE_SECONDS)
        except TrackerError as error:
            self.error, self._pause = error, min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            self._next = time.monotonic() + self._pause
        if str(self.error) != str(before):
            print(f"{time.strftime('%F %T')} {self.error or f'{self.sender.tracker.target}: it works'}", flush=True)


def wait_for_lease(each: RunDirectory) -> Lease:
    """The lease of the one process that sends this run's figures, when an earlier one has left it.

    Raises:
        UserError: it is held still, and there is no more to follow.
    """
    while True:
        owner = living_owner(each.path / FOLDER / LEASE)
        if owner is None:
            return Lease(each.path / FOLDER)
        if living_owner(each.lease) is None:
            raise UserError(f"{each.path}: process {owner['pid']} on {owner['host']} is sending it")
        time.sleep(PASS_SECONDS)


def trackers_of(each: RunDirectory, config: SyncConfig) -> dict[str, TrackerConfig]:
    """The trackers that the command line names, or else the run's own."""
    if config.tracker:
        return config.tracker
    saved, source = each.read_config().get("tracker", {}), str(each.config)
    trusted = partial(config_class, trust=config.trust)
    return {name: from_saved(value, TrackerConfig, trusted, source) for name, value in saved.items()}


def cli() -> None:
    run("sync", SyncConfig, main, ["tracker"])


if __name__ == "__main__":
    cli()
