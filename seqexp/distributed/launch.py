"""Starts the processes of a job on this machine and looks after them, or joins those that somebody else started."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from seqexp.distributed.base import Device, DistributedConfig, ProcessesConfig
from seqexp.distributed.place import Place, launched
from seqexp.distributed.preemption import StopRequest
from seqexp.distributed.processes import joined
from seqexp.distributed.watch import DIRECTORY, Failure, last_beat, publish, published
from seqexp.distributed.world import World
from seqexp.runs.directory import RunDirectory
from seqexp.runs.journal import note_failure
from seqexp.runtime.errors import ProcessError, UserError

RESULT = "result"
PATIENCE_SECONDS = 5.0
"""At most how long processes may live on when one of them has failed."""
STOPPED = tuple(128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2))
"""Exit statuses of a process that was asked to stop and did so in order."""


def in_processes(config: DistributedConfig, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function(world, *arguments)` in every process of the layout.

    torchrun, srun or submitit have started them, and this is one; or they are started here. Function and arguments
    then travel to them by pickle.

    Returns:
        What the function returned; of processes that were started here, what it returned in the first, which must be a
        value of JSON.

    Raises:
        UserError: a process has failed; or the layout does not suit how this one was started.
    """
    place = launched()
    if place is None:
        number = _num_processes(config)
        if number == 1:
            return function(World(config.device.resolve()), *arguments)
        assert isinstance(config, ProcessesConfig)
        return _Supervisor(number, config, function, arguments).run()
    if not isinstance(config, ProcessesConfig):
        error = UserError(
            f"distributed=single, and {place.launcher} has started {place.size} processes, which would fight over one "
            "run: give distributed=ddp, or start one"
        )
        error.told = place.rank > 0
        raise error
    if config.num_processes not in (None, place.local_size):
        raise UserError(
            f"distributed.num_processes={config.num_processes}, and {place.launcher} has started {place.local_size} on "
            "this machine: leave it null"
        )
    with joined(place, config) as world:
        return function(world, *arguments)


def _num_processes(config: DistributedConfig) -> int:
    if not isinstance(config, ProcessesConfig):
        return 1
    if config.num_processes is not None:
        return config.num_processes
    return max(torch.cuda.device_count(), 1) if config.device is not Device.cpu else 1


class _Supervisor:
    """Keeps the store where the processes meet, passes signals on, and ends all of them when one ends badly."""

    def __init__(
        self, number: int, config: ProcessesConfig, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self.patience = min(PATIENCE_SECONDS, max(2.0, config.timeout_seconds / 12))
        self.request = StopRequest(on_signal=self._pass_on)
        self.store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        places = [
            Place("command", rank, number, rank, number, "127.0.0.1", self.store.port, os.getpid())
            for rank in range(number)
        ]
        context = multiprocessing.get_context("spawn")
        self.processes: list[BaseProcess] = [
            context.Process(target=_work, args=(place, config, function, arguments), name=f"rank {place.rank}")
            for place in places
        ]

    def run(self) -> Any:
        with self.request:
            try:
                with _ignoring_interrupts():
                    for process in self.processes:
                        process.start()
                self._look_after()
            finally:
                self._end_all()
                self._note_failure()
        return self._outcome()

    def _look_after(self) -> None:
        """Until all have ended, or one has failed and the others had time to end."""
        until = float("inf")
        while running := [process for process in self.processes if process.exitcode is None]:
            wait([process.sentinel for process in running], timeout=0.5)
            for rank, process in enumerate(self.processes):
                code = process.exitcode
                if code is not None and code not in (0, *STOPPED, *self._asked()) and until == float("inf"):
                    until = time.monotonic() + self.patience
                    publish(self.store, self._failure(rank, code))
            if time.monotonic() > until:
                return

    def _failure(self, rank: int, code: int) -> Failure:
        """Of a process that ended without a word."""
        beat = last_beat(self.store, rank)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit status {code}"
        return Failure(f"rank {rank} ({beat.place if beat else 'starting'}) {how}", 1)

    def _end_all(self) -> None:
        """No process stays, those that prepare a rank's data included: each rank leads a group of its own."""
        for process in self.processes:
            if process.pid is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                with contextlib.suppress(ProcessLookupError):
                    if process.exitcode is None:
                        process.kill()
                process.join()

    def _note_failure(self) -> None:
        """In the run's journal, should the first process have been ended before it could."""
        failure = published(self.store)
        if failure is None or not self.store.check([DIRECTORY]):
            return
        run = RunDirectory(Path(self.store.get(DIRECTORY).decode()))
        with contextlib.suppress(OSError, UserError):
            if run.holder() is None:  # nobody else has taken it over meanwhile
                note_failure(run.journal, failure.message)

    def _pass_on(self, number: signal.Signals) -> None:
        for process in self.processes:
            if process.pid is not None and process.exitcode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, number)

    def _asked(self) -> list[int]:
        """Exit statuses of those that a signal has ended which we passed on, before they could note it."""
        return [] if self.request.signal is None else [-self.request.signal]

    def _outcome(self) -> Any:
        failure = published(self.store)
        if failure is not None:
            error: UserError = UserError(failure.message) if failure.status == 2 else ProcessError(failure.message)
            error.exit_status = failure.status
            raise error
        codes = [process.exitcode for process in self.processes]
        if any(codes):
            stopped = [code for code in codes if code in STOPPED]
            if self.request.signal is None and stopped:
                self.request.signal = signal.Signals(stopped[0] - 128)
            self.request.leave()
        return json.loads(self.store.get(RESULT))


def _work(place: Place, config: ProcessesConfig, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """What a process does; it ends without Python's tidying up, which may wait for a partner that is gone."""
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)  # a Ctrl-C on the terminal reaches who started us, and it tells all
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 1
    try:
        if os.getppid() == place.parent:
            with joined(place, config) as world:
                value = function(world, *arguments)
                if world.is_first:
                    _store_of(place).set(RESULT, json.dumps(value))
            status = 0
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except UserError as error:
        status = error.exit_status
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _store_of(place: Place) -> TCPStore:
    return TCPStore(place.host, place.port, is_master=False, wait_for_workers=False)


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """What is started in it ignores Ctrl-C until it says otherwise."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
