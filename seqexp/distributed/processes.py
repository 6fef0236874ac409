"""Several processes, joined."""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from seqexp.distributed.base import ProcessesConfig
from seqexp.distributed.place import Place
from seqexp.distributed.watch import LIMIT, Watch, last_beat
from seqexp.distributed.world import World
from seqexp.runtime.errors import ProcessError, UserError

Value = TypeVar("Value")

START_SECONDS = 300.0
"""How long processes may take to start: imports from a slow file system, many at once."""
LEAVE_SECONDS = 10.0
"""How long the first waits for the others in the end, if it keeps the store."""
LONGEST_NAP_SECONDS = 0.05


class Processes(World):
    """Several of them: sums go through torch's collectives, the rest through the store, where waiting has no end of
    its own and one may look out for failures meanwhile."""

    def __init__(
        self, place: Place, store: Store, watch: Watch, device: torch.device, alone_timeout_seconds: float
    ) -> None:
        super().__init__(device)
        self.rank, self.size, self.num_here = place.rank, place.size, place.local_size
        self._store, self._watch, self._patience = store, watch, alone_timeout_seconds
        self._num_gathered = self._num_given = 0

    def sum(self, numbers: Sequence[float]) -> list[float]:
        tensor = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(tensor)
        sums: list[float] = tensor.tolist()
        return sums

    def gather(self, value: Value) -> list[Value]:
        number = self._num_gathered = self._num_gathered + 1
        self._store.set(f"gather/{number}/{self.rank}", json.dumps(value))
        keys = [f"gather/{number}/{rank}" for rank in range(self.size)]
        self._await({key: rank for rank, key in enumerate(keys)})
        found = [json.loads(content) for content in self._store.multi_get(keys)]
        # Whoever has come here has read what was gathered before.
        self._store.delete_key(f"gather/{number - 1}/{self.rank}")
        return found

    def from_first(self, function: Callable[[], Value]) -> Value:
        self._num_given += 1
        key = f"from_first/{self._num_given}"
        if self.is_first:
            value = function()
            self._store.set(key, json.dumps(value))
            return value
        self._await({key: 0})
        given: Value = json.loads(self._store.get(key))
        return given

    def wait(self) -> None:
        self.gather(None)

    def require_alive(self) -> None:
        if self._watch.failure is not None:
            raise ProcessError("another process has failed")

    def at(self, place: str) -> None:
        self._watch.at(place)

    def advance(self) -> None:
        self._watch.advance()

    def reports_to(self, directory: Path, fail: Callable[[str], None]) -> None:
        self._watch.reports_to(directory, fail)

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._watch.raised(error) from error

    def require_equal(self, value: Any, what: str) -> None:
        values = self.gather(value)
        others = [str(rank) for rank, other in enumerate(values) if other != values[0]]
        if others:
            raise ProcessError(f"ranks {', '.join(others)} have other {what} than rank 0")

    def _await(self, keys: dict[str, int]) -> None:
        """Until the store has all keys, each of which comes from a rank.

        Raises:
            ProcessError: another process has failed, has left, or did not get on for too long.
        """
        since, nap, before = time.monotonic(), 0.0005, None
        while not self._store.check(list(keys)):
            time.sleep(nap)
            nap = min(2 * nap, LONGEST_NAP_SECONDS)
            self.require_alive()
            if nap < LONGEST_NAP_SECONDS:
                continue
            late = [rank for key, rank in keys.items() if not self._store.check([key])]
            beats = {rank: beat for rank in late if (beat := last_beat(self._store, rank)) is not None}
            left = [rank for rank, beat in beats.items() if beat.left]
            if left and not self._store.check(list(keys)):
                raise ProcessError(f"rank {left[0]} has left, and the others wait for it")
            now = [(rank, beat.place, beat.num_done) for rank, beat in beats.items()]
            if now != before:
                since, before = time.monotonic(), now
            if late and time.monotonic() - since > self._patience:
                raise ProcessError(
                    f"ranks {', '.join(map(str, late))} did not come or get on within {self._patience:g} s"
                )


@contextlib.contextmanager
def joined(place: Place, config: ProcessesConfig) -> Iterator[World]:
    """Context in which this process is one of several; an error in one of them ends all.

    Raises:
        UserError: they do not find each other, or there are fewer GPUs than processes.
    """
    device = _device(place, config)
    store = place.store(timedelta(seconds=START_SECONDS))
    _make_group(place, store, device, config.timeout_seconds)
    own: Store = store.clone()  # type: ignore[attr-defined]
    watch = Watch(own, place.rank, place.size, config.timeout_seconds, place.parent, place.shows_errors)
    world = Processes(place, store, watch, device, config.alone_timeout_seconds)
    watch.start()
    try:
        world.wait()
        yield world
    except Exception as error:
        instead = watch.raised(error)
        _last_to_leave(place, store, watch)
        raise instead from error
    except BaseException:  # asked to stop
        watch.leave()
        _last_to_leave(place, store, watch)
        raise
    watch.leave()
    _last_to_leave(place, store, watch)
    distributed.destroy_process_group()


def _make_group(place: Place, store: Store, device: torch.device, timeout_seconds: float) -> None:
    """
    Raises:
        ProcessError: not all processes have come.
    """
    try:
        # To start may take one of them longer than anything later.
        store.set(f"started/{place.rank}", "")
        store.wait([f"started/{rank}" for rank in range(place.size)], timedelta(seconds=START_SECONDS))
        # What runs on a CPU, the collectives of control among it, goes through gloo, also beside GPUs.
        distributed.init_process_group(
            "gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl",
            store=PrefixStore("group", store),
            rank=place.rank,
            world_size=place.size,
            timeout=timedelta(seconds=LIMIT * timeout_seconds),
        )
    except RuntimeError as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ProcessError(f"rank {place.rank} cannot join the others: {reason}") from error


def _last_to_leave(place: Place, store: Store, watch: Watch) -> None:
    """Who keeps the store goes last, or the others would take its going for a failure."""
    if not (place.keeps_store and place.rank == 0):
        return
    until = time.monotonic() + (LEAVE_SECONDS if watch.failure is None else 2.0)
    beats = [last_beat(store, rank) for rank in range(1, place.size)]
    while time.monotonic() < until and not all(beat is None or beat.left for beat in beats):
        time.sleep(LONGEST_NAP_SECONDS)
        beats = [last_beat(store, rank) for rank in range(1, place.size)]


def _device(place: Place, config: ProcessesConfig) -> torch.device:
    """The device of this process; on a CPU, the processes of a machine share its processors."""
    device = config.device.resolve()
    if device.type == "cuda":
        count = torch.cuda.device_count()
        # Some launchers show each process its own GPU only.
        number = 0 if count == 1 and place.local_size > 1 and place.one_gpu_each else place.local_rank
        if number >= count:
            raise UserError(
                f"{place.local_size} processes on this machine and {count} GPUs: a process needs a GPU of its own, so "
                "start fewer, or give distributed.device=cpu"
            )
        torch.cuda.set_device(number)
        return torch.device("cuda", number)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(place.num_threads(torch.get_num_threads()))
    return device
