"""A thread in every process that shows the others that it lives, and ends its process when one of them does not."""

import contextlib
import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from torch.distributed import DistError, Store  # type: ignore[attr-defined]

from seqexp.runs.lock import start_time
from seqexp.runtime.errors import ProcessError, UserError
from seqexp.runtime.secrets import mask

logger = logging.getLogger(__name__)

FAILURE = "failure"
DIRECTORY = "directory"
"""Keys of the store: why the job ends; where its run lies, for who outlives the processes."""
LIMIT = 0.75
"""Part of the time limit after which a process counts as lost; the rest is for finding out why, and for ending."""
GRACE_SECONDS = 5.0
"""At most what a process that is to end has for ending in order."""
EXPLAIN_SECONDS = 4.0
"""At most what a process whose partner is gone waits for somebody who knows why."""


@dataclass(frozen=True)
class Failure:
    """Why a job ends: the first that any process has found."""

    message: str
    status: int
    """Of the exit."""


@dataclass
class Beat:
    """A sign of life."""

    count: int = 0
    place: str = "starting"
    num_done: int = 0
    """Pieces of work that it has done alone, such as batches of a validation."""
    host: str = ""
    pid: int = 0
    started: str | None = None
    waits: bool = False
    """It has waited for the others in vain."""
    left: bool = False
    """It ended in order."""


def publish(store: Store, failure: Failure) -> Failure:
    """Make known why the job ends, unless somebody was first; what is known now."""
    return Failure(**json.loads(store.compare_set(FAILURE, "", json.dumps(asdict(failure)))))


def published(store: Store) -> Failure | None:
    return Failure(**json.loads(store.get(FAILURE))) if store.check([FAILURE]) else None


def last_beat(store: Store, rank: int) -> Beat | None:
    """The last sign of life of a process; None before its first."""
    key = f"beat/{rank}"
    return Beat(**json.loads(store.get(key))) if store.check([key]) else None


class Watch:
    """Each process looks after the next one by rank: whichever of them stop, one that lives looks after one of them."""

    def __init__(self, store: Store, rank: int, size: int, timeout_seconds: float, parent: int, shows: bool) -> None:
        """
        Args:
            store: nobody waits on it, or this thread would wait too.
            parent: process number of who started this one, which does not outlive it.
            shows: this process shows a failure to the user; otherwise who started it does.
        """
        self._store, self.rank, self.size = store, rank, size
        self._parent, self._shows = parent, shows
        self._limit, self._period = LIMIT * timeout_seconds, min(1.0, timeout_seconds / 20)
        self._grace = min(GRACE_SECONDS, max(1.0, timeout_seconds / 12))
        self._explain = min(EXPLAIN_SECONDS, max(1.0, timeout_seconds / 15))
        self._beat = Beat(host=socket.gethostname(), pid=os.getpid(), started=start_time(os.getpid()))
        self._next = Beat(count=-1)
        self._heard = self._looked = time.monotonic()
        self._over = threading.Event()
        self._directory: Path | None = None
        self._on_failure: Callable[[str], None] | None = None
        self.failure: Failure | None = None
        """Why the job ends, once this process knows it."""
        self._raised: UserError | None = None
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._send()
        self._thread.start()

    def at(self, place: str) -> None:
        self._beat.place = place
        self._send()  # at once: should this process be killed, that is all that is known of it

    def advance(self) -> None:
        self._beat.num_done += 1  # the thread sends it

    def reports_to(self, directory: Path, fail: Callable[[str], None]) -> None:
        self._directory, self._on_failure = directory, fail
        if self.rank == 0:
            self._store.set(DIRECTORY, str(directory.absolute()))

    def leave(self) -> None:
        """This process ends in order: nobody need wait for its signs of life."""
        self._over.set()
        self._thread.join()
        self._beat.left = True
        with contextlib.suppress(RuntimeError):  # the first may have gone already, and the store with it
            self._send()

    def raised(self, error: Exception) -> UserError:
        """Tell the others of an error that ends this process.

        Returns:
            What to raise in its place. It counts as told where it only follows from another's failure, or where who
            started this process is to show it.
        """
        if error is self._raised:
            return self._raised
        try:
            failure, is_own = self._why(error)
        except RuntimeError:  # the store is gone too
            failure, is_own = Failure(self._message(error), 1), True
        trace = "".join(traceback.format_exception(error))
        self._end(failure, trace)
        if is_own and not isinstance(error, UserError) and not _is_communication(error):
            print(mask(trace), file=sys.stderr, end="")
        instead = (
            UserError(failure.message) if failure.status == UserError.exit_status else ProcessError(failure.message)
        )
        instead.exit_status, instead.told = failure.status, not (is_own and self._shows)
        self._raised = instead
        return instead

    def _message(self, error: Exception) -> str:
        if isinstance(error, UserError):
            return mask(f"rank {self.rank}: {error}" if self.rank > 0 else str(error))
        return mask(f"{self._self()}: {type(error).__name__}: {_first_line(error)}")

    def _why(self, error: Exception) -> tuple[Failure, bool]:
        """Why the job ends, and whether it is this process that makes it known."""
        status = error.exit_status if isinstance(error, UserError) else 1
        own = Failure(self._message(error), status)
        # Who only feels that another is gone lets those speak who know; a mistake that all make, the first one tells.
        if _is_communication(error) or (isinstance(error, UserError) and self.rank > 0):
            self._beat.waits = _is_communication(error)
            until = time.monotonic() + self._explain
            while time.monotonic() < until:
                if (known := self.failure or published(self._store)) is not None:
                    return known, False
                time.sleep(0.05)
            if _is_communication(error):
                own = Failure(f"{self._late()}; {own.message}", status)
        if self.failure is not None:
            return self.failure, False
        failure = publish(self._store, own)
        return failure, failure == own

    def _late(self) -> str:
        """Where every process is: one that others wait for stands out."""
        beats = {rank: last_beat(self._store, rank) for rank in range(self.size)}
        time.sleep(2.5 * self._period)
        now = {rank: last_beat(self._store, rank) for rank in range(self.size)}
        silent = [rank for rank in beats if now[rank] is None or now[rank] == beats[rank]]
        if silent:
            return "; ".join(f"{self._named(rank, now[rank])} gives no sign of life" for rank in silent)
        late = [rank for rank, beat in now.items() if beat is not None and not beat.waits]
        who = "; ".join(self._named(rank, now[rank]) for rank in late or now)
        return f"{who} did not meet the others within {self._limit:.3g} s"

    def _self(self) -> str:
        return self._named(self.rank, self._beat)

    def _named(self, rank: int, beat: Beat | None) -> str:
        return f"rank {rank}" if beat is None else f"rank {rank} ({beat.place})"

    # The thread

    def _run(self) -> None:
        try:
            while not self._over.wait(self._period):
                self._look()
        except Exception as error:  # the store is gone, and with it who kept it
            if not self._over.is_set():
                gone = "who started it has" if not self._shows else "rank 0, which keeps the store, or its host has"
                self._end(Failure(f"{gone} gone ({type(error).__name__})", 1))

    def _look(self) -> None:
        before = time.monotonic()
        self._send()
        if os.getppid() != self._parent:
            self._end(Failure("who started this process has gone", 1))
        elif (failure := published(self._store)) is not None:
            self._end(failure)
        elif self.size > 1:
            self._look_after_next(before)

    def _look_after_next(self, now: float) -> None:
        rank = (self.rank + 1) % self.size
        beat = last_beat(self._store, rank) or Beat(count=-1)
        if beat.count != self._next.count or beat.left or now - self._looked > self._limit / 2:
            self._next, self._heard = beat, now  # or this process itself was stopped for a while, and must not judge
        self._looked = now
        silence = now - self._heard
        if silence > self._limit:
            what = f"{self._named(rank, beat)} gives no sign of life for {silence:.0f} s"
            failure = publish(self._store, Failure(what, 1))
            if beat.host == self._beat.host and beat.started and start_time(beat.pid) == beat.started:
                os.kill(beat.pid, signal.SIGKILL)  # stopped, it would stay
            if failure.message == what and self._shows:
                print(f"error: {what}", file=sys.stderr)
            self._end(failure)

    def _send(self) -> None:
        self._beat.count += 1
        self._store.set(f"beat/{self.rank}", json.dumps(asdict(self._beat)))

    def _end(self, failure: Failure, trace: str = "") -> None:
        """Write down what this process was doing. From the thread, then end it, if it does not do so itself."""
        first, self.failure = self.failure is None, self.failure or failure
        if first and self.failure.status != UserError.exit_status:
            self._dump(trace)
        if threading.current_thread() is self._thread:
            time.sleep(self._grace)
            if self.rank == 0 and self._on_failure is not None:  # it would have said so itself, did it not stick
                with contextlib.suppress(UserError, OSError, ValueError):
                    self._on_failure(self.failure.message)
            sys.stderr.flush()
            os._exit(self.failure.status)

    def _dump(self, trace: str) -> None:
        if self._directory is None:
            return
        with contextlib.suppress(OSError):
            folder = self._directory / "stacks"
            folder.mkdir(exist_ok=True)
            with (folder / f"{self.rank}.txt").open("w", encoding="utf-8") as file:
                file.write(f"{self._self()}\n{mask(self.failure.message) if self.failure else ''}\n\n{mask(trace)}\n")
                file.flush()
                faulthandler.dump_traceback(file, all_threads=True)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def _is_communication(error: BaseException) -> bool:
    """Whether an error came from talking to other processes: of gloo they have no class of their own."""
    text = str(error).lower()
    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and ("gloo" in text or "nccl" in text))
