"""Waiting for other processes, on a clock that only moves when somebody sleeps."""

import json
from collections.abc import Callable
from dataclasses import asdict

import pytest
import torch
from torch.distributed import HashStore

from seqexp.distributed import processes
from seqexp.distributed.place import Place
from seqexp.distributed.processes import Processes
from seqexp.distributed.watch import Beat, Watch
from seqexp.runtime.errors import ProcessError

PATIENCE = 100.0


class Clock:
    """Calls `tick` with the time whenever somebody sleeps, which takes a second."""

    def __init__(self, tick: Callable[[int], None]) -> None:
        self.now, self.tick = 0, tick

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += 1
        self.tick(self.now)


def gathered_at(monkeypatch: pytest.MonkeyPatch, come_at: int, beat_at: Callable[[int], Beat]) -> int:
    """When what rank 1 gives at some time has come to rank 0; `beat_at` are its signs of life."""
    store = HashStore()

    def tick(now: int) -> None:
        store.set("beat/1", json.dumps(asdict(beat_at(now))))
        if now >= come_at:
            store.set("gather/1/1", json.dumps("here"))

    place = Place("command", 0, 2, 0, 2, "127.0.0.1", 0, 0)
    world = Processes(place, store, Watch(store, 0, 2, 60, 0, shows=False), torch.device("cpu"), PATIENCE)
    clock = Clock(tick)
    monkeypatch.setattr(processes, "time", clock)
    assert world.gather("too") == ["too", "here"]
    return clock.now


def test_who_gets_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gathered_at(monkeypatch, 1000, lambda now: Beat(now, "validation", num_done=now // 90)) == 1000
    assert gathered_at(monkeypatch, 250, lambda now: Beat(now, f"place {now // 90}")) == 250
    assert gathered_at(monkeypatch, 99, lambda now: Beat(now)) == 99


def test_who_only_lives_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProcessError, match=r"^ranks 1 did not come or get on within 100 s$"):
        gathered_at(monkeypatch, 1000, lambda now: Beat(now, "validation", num_done=min(now, 300)))
