"""Whatever happens, a tracker has everything in the end, and once."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seqexp.runs.directory import RunDirectory
from seqexp.runs.journal import Journal
from seqexp.trackers.base import TrackerError
from seqexp.trackers.sender import FOLDER, SYSTEM, Sender
from tests.unit.trackers.memory import Memory, MemoryConfig, finish, write_updates


def sender(run: RunDirectory) -> Sender:
    (run.path / FOLDER).mkdir(exist_ok=True)
    return Sender("memory", MemoryConfig(), run)


def names_and_steps() -> list[tuple[str, int]]:
    (kept,) = Memory.runs.values()
    return sorted((point.name, point.step) for point in kept["points"])


def test_all_is_sent_once(run: RunDirectory) -> None:
    write_updates(run, 1, 2, 3)
    finish(run)
    assert sender(run).num_unsent() == 5
    for _ in range(2):
        sender(run).send()
    assert sender(run).num_unsent() == 0
    each = [("train/epoch", n) for n in (1, 2, 3)] + [("train/loss", n) for n in (1, 2, 3)]
    assert names_and_steps() == [("final/test/bleu", 2), *each]
    (kept,) = Memory.runs.values()
    assert kept["files"] == ["config.json", "overrides.txt", "provenance.json", "result.json"]
    assert set(kept["status"]) == {"finished"}
    assert kept["parameters"]["model"] == "transformer"
    assert kept["tags"]["signature/bleu"] == "nrefs:1"


@pytest.mark.parametrize("calls", range(10))
def test_a_kill_after_any_call(run: RunDirectory, calls: int) -> None:
    """The tracker took the call, and the process died before it knew."""
    write_updates(run, 1, 2, 3)
    finish(run)
    Memory.calls_left = calls
    try:
        sender(run).send()
        killed = False
    except TrackerError:
        killed = True
    assert killed == (calls < 8)
    Memory.calls_left = None
    sender(run).send()
    assert len(names_and_steps()) == 7
    assert sender(run).num_unsent() == 0


def test_following_sends_what_is_new(run: RunDirectory) -> None:
    following = sender(run)
    with Journal(run.journal) as journal:
        for update in (1, 2):
            journal.write("train", update, metrics={"loss": 1.0})
            following.send()
            assert names_and_steps()[-1] == ("train/loss", update)
        with run.journal.open("a") as file:
            file.write('{"kind": "tr')
        following.send()
        assert len(names_and_steps()) == 2


def test_what_a_later_attempt_repeats_is_there_once(run: RunDirectory) -> None:
    write_updates(run, 1, 2, 3)
    sender(run).send()
    write_updates(run, 2, 3, 4)
    sender(run).send()
    losses = [step for name, step in names_and_steps() if name == "train/loss"]
    assert losses == [1, 2, 3, 4]


def test_in_one_go_it_is_the_same(make_run: Callable[..., RunDirectory]) -> None:
    run = make_run()
    write_updates(run, 1, 2, 3)
    write_updates(run, 2, 3, 4)
    sender(run).send()
    assert [step for name, step in names_and_steps() if name == "train/loss"] == [1, 2, 3, 4]


def test_a_place_that_knows_nothing_gets_everything(run: RunDirectory) -> None:
    write_updates(run, 1, 2, 3)
    sender(run).send()
    Memory.runs.clear()
    sender(run).send()
    assert len(names_and_steps()) == 6


def test_system_metrics_go_the_same_way(run: RunDirectory) -> None:
    write_updates(run, 1)
    following = sender(run)
    with Journal(run.path / FOLDER / SYSTEM) as journal:
        journal.write("system", 10, metrics={"cpu_utilization_percentage": 50.0})
    following.send()
    assert ("system/cpu_utilization_percentage", 10) in names_and_steps()


def test_files_are_sent_again_when_they_change(run: RunDirectory) -> None:
    write_updates(run, 1)
    generated = run.path / "generate/test-1/hypotheses.txt"
    generated.parent.mkdir(parents=True)
    generated.write_text("one\n")
    (generated.parent / ".hypotheses.jsonl.1.tmp").write_text("half")
    sender(run).send()
    (kept,) = Memory.runs.values()
    assert kept["files"][-1] == "generate/test-1/hypotheses.txt"
    generated.write_text("two\n")
    os.utime(generated, (1, 1))
    sender(run).send()
    assert kept["files"].count("generate/test-1/hypotheses.txt") == 2
    assert kept["files"].count("config.json") == 1
    assert not any(".tmp" in name for name in kept["files"])


def test_the_state_is_one_file_and_always_whole(run: RunDirectory, tmp_path: Path) -> None:
    write_updates(run, 1)
    sender(run).send()
    assert [path.name for path in (run.path / FOLDER).iterdir()] == ["memory.json"]
