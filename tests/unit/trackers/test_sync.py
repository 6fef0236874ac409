"""The command that sends, and how long it follows a run."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqexp import sync
from seqexp.runs.directory import RunDirectory
from seqexp.runs.journal import Journal
from seqexp.runs.lease import Lease
from seqexp.runs.lock import start_time, this_process
from seqexp.runtime.errors import UserError
from seqexp.sync import SyncConfig, follow, main, runs_below
from seqexp.trackers import system
from seqexp.trackers.sender import FOLDER
from tests.unit.trackers.memory import Memory, MemoryConfig, finish, write_updates

MakeRun = Callable[..., RunDirectory]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "PASS_SECONDS", 0.02)
    monkeypatch.setattr(sync, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(system, "SAMPLE_SECONDS", 0.05)
    monkeypatch.setattr("os.nice", lambda increment: increment)


@pytest.fixture
def trainer(run: RunDirectory) -> Iterator[subprocess.Popen[bytes]]:
    """A living process that holds the run's lease."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    owner = {**this_process(), "pid": process.pid, "started": start_time(process.pid)}
    run.lease.write_text(json.dumps(owner))
    yield process
    process.kill()
    process.wait()


def config(**values: Any) -> SyncConfig:
    return SyncConfig(tracker={"memory": MemoryConfig()}, **values)


def steps(name: str = "train/loss") -> list[int]:
    return sorted({p.step for kept in Memory.runs.values() for p in kept["points"] if p.name == name})


def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def in_background(run: RunDirectory) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def work() -> None:
        try:
            follow(run, config(run=[str(run.path)], follow=True))
        except UserError as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, raised


def test_it_follows_a_run_until_its_process_is_gone(run: RunDirectory, trainer: Any) -> None:
    thread, raised = in_background(run)
    with Journal(run.journal) as journal:
        journal.write("train", 1, metrics={"loss": 1.0})
        until(lambda: steps() == [1])
        journal.write("train", 2, metrics={"loss": 1.0})
        until(lambda: steps() == [1, 2])
        until(lambda: steps("system/process_memory_megabytes") != [])
        (kept,) = Memory.runs.values()
        assert kept["status"] == ["running"]
        journal.write("train", 3, metrics={"loss": 1.0})
        trainer.kill()
        trainer.wait()
    thread.join()
    assert raised == []
    assert steps() == [1, 2, 3]
    assert kept["status"] == ["running", "interrupted"]
    assert not (run.path / FOLDER / "lease.json").exists()


def test_a_tracker_that_fails_is_tried_again(run: RunDirectory, trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "SAMPLE_SECONDS", 1000)
    write_updates(run, 1)
    Memory.calls_left = 0
    thread, raised = in_background(run)
    until(lambda: Memory.calls_left is not None and Memory.calls_left < -2)
    assert thread.is_alive()
    Memory.calls_left = None
    until(lambda: steps() == [1])
    Memory.calls_left = 0
    write_updates(run, 2, 3)
    trainer.kill()
    trainer.wait()
    thread.join()
    assert [str(error) for error in raised] == ["memory: lost: 2 lines of the journal are unsent"]


def test_one_process_at_a_time_sends_a_run(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    write_updates(run, 1)
    (run.path / FOLDER).mkdir()
    with Lease(run.path / FOLDER):
        main(config(run=[str(run.path)]))
        assert "is sending it" in capsys.readouterr().out
        with pytest.raises(UserError, match="is sending it"):
            follow(run, config(run=[str(run.path)], follow=True))
    assert Memory.runs == {}


def test_all_runs_below_a_directory(make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("a", "b", "c"):
        run = make_run(key=key)
        write_updates(run, 1, 2)
        finish(run)
    (run.path / "checkpoints/inner").mkdir()
    assert [each.path.name for each in runs_below(tmp_path)] == ["a", "b", "c"]
    Memory.calls_left = 0
    with pytest.raises(UserError, match=r"^memory: lost: 12 lines of the journals of 3 runs are unsent$"):
        main(config(root=str(tmp_path)))
    assert Memory.calls_left == -1, "it is asked once, not for each run"
    Memory.calls_left = None
    main(config(root=str(tmp_path)))
    assert capsys.readouterr().out.count("memory has everything (4 new lines of the journal)") == 3
    with pytest.raises(UserError, match="there is no run below it"):
        main(config(root=str(run.path / "checkpoints")))
    with pytest.raises(UserError, match="is not there"):
        main(config(root=str(tmp_path / "none")))


def test_without_a_tracker_it_says_so(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tracker={})
    write_updates(run, 1)
    main(SyncConfig(run=str(run.path)))
    assert "give one with tracker=[mlflow]" in capsys.readouterr().out


@pytest.mark.parametrize("values", [{}, {"run": "a", "root": "b"}, {"root": "b", "follow": True}])
def test_runs_must_be_named_in_one_way(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not valid"):
        SyncConfig(**values)
