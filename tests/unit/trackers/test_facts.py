from collections.abc import Callable
from typing import Any

import pytest

from seqexp.runs.directory import RunDirectory
from seqexp.runs.journal import Journal
from seqexp.runs.lease import Lease
from seqexp.trackers.facts import parameters, status, tags
from seqexp.trackers.points import points_of
from tests.unit.trackers.memory import CONFIG, finish, write_updates


def test_parameters_read_like_a_command_line() -> None:
    assert parameters(CONFIG) == {
        "seed": "1",
        "model": "transformer",
        "model.dropout": "0.1",
        "model.encoder.num_layers": "2",
        "scorer.bleu": "bleu",
        "scorer.bleu.tokenize": "13a",
        "validation.splits": '["valid"]',
        "validation.final_splits": "null",
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, "interrupted"),
        ("failed", "failed"),
        ("interrupted", "interrupted"),
    ],
)
def test_status_of_a_run_that_ended_early(run: RunDirectory, kind: str | None, expected: str) -> None:
    with Lease(run.path):
        write_updates(run, 1)
        assert status(run)[0] == "running"
        if kind is not None:
            with Journal(run.journal) as journal:
                journal.write(kind, 0, error="why")
    assert status(run)[0] == expected
    assert tags(run).get("error") == (None if kind is None else "why")


def test_a_run_that_got_over_its_error(run: RunDirectory) -> None:
    with Journal(run.journal) as journal:
        journal.write("failed", 0, error="ValueError: a defect")
    write_updates(run, 1)
    assert tags(run)["error"] == ""
    assert tags(run)["attempt"] == "2"
    finish(run)
    assert status(run)[0] == "finished"


def test_tags_say_where_a_run_comes_from(make_run: Callable[..., RunDirectory]) -> None:
    run = make_run(key="ab")
    found = tags(run)
    assert found["key"] == "ab"
    assert found["data"] == "d" * 64
    assert found["git_commit"] == "c" * 40
    assert found["directory"] == str(run.path)


def test_points_of_a_line() -> None:
    line: dict[str, Any] = {"kind": "train", "update": 50, "time": 7.5, "epoch": 1}
    line["metrics"] = {"loss": 1.5, "perplexity": "inf"}
    reached: dict[str, int] = {}
    points = points_of(line, reached)
    assert [(p.name, p.value, p.step, p.time) for p in points] == [
        ("train/loss", 1.5, 50, 7.5),
        ("train/perplexity", float("inf"), 50, 7.5),
        ("train/epoch", 1.0, 50, 7.5),
    ]
    assert points_of(line, reached) == []
    assert points_of({"kind": "checkpoint", "update": 60, "time": 1.0}, reached) == []
    final = {"kind": "final", "split": "test", "update": 50, "time": 8.0, "metrics": {"bleu": 3.0}}
    assert [p.name for p in points_of(final, reached)] == ["final/test/bleu"]
    assert [p.name for p in points_of({**final, "split": "other"}, reached)] == ["final/other/bleu"]
