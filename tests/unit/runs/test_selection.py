import json
from pathlib import Path
from typing import Any

import pytest

from seqexp.runs.selection import runs_on_other_data, same_order, select_run
from seqexp.runtime.errors import UserError

ORIGIN: dict[str, Any] = {
    "key": "k",
    "config": "c",
    "data": "d",
    "code": {"seqexp": "1"},
    "python": "3.11.7",
    "packages": {"torch": "2.13.0", "rich": "15"},
}


def make_run(path: Path, *, finished: bool = False, **changes: Any) -> Path:
    path.mkdir(parents=True)
    (path / "provenance.json").write_text(json.dumps({**ORIGIN, **changes}))
    if finished:
        (path / "result.json").write_text("{}")
    return path


def select(path: Path, *, rerun: bool = False, force: bool = False, **changes: Any) -> Path:
    return select_run(path, {**ORIGIN, **changes}, rerun=rerun, force=force).path


def test_the_same_command_uses_the_same_directory(tmp_path: Path) -> None:
    run = tmp_path / "k"
    assert select(run) == run
    make_run(run)
    assert select(run) == run
    assert select(run, packages={"torch": "2.13.0", "rich": "16"}, python="3.11.9") == run


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": {"seqexp": "2"}}, "the code of seqexp"),
        ({"code": {"seqexp": "1", "mine": "1"}}, "the code of mine"),
        ({"packages": {"torch": "2.14.0"}}, "torch 2.13.0 -> 2.14.0"),
        ({"packages": {}}, "torch 2.13.0 -> absent"),
        ({"python": "3.12.1"}, "python 3.11.7 -> 3.12.1"),
    ],
)
def test_other_code_is_refused_unless_forced(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    run = make_run(tmp_path / "k")
    with pytest.raises(UserError, match=r"run\.resume=force") as caught:
        select(run, **change)
    assert f"other code ({words})" in str(caught.value)
    assert str(tmp_path / "k-2") in str(caught.value)
    assert select(run, force=True, **change) == run


def test_a_finished_run_stays_finished_whatever_the_code(tmp_path: Path) -> None:
    run = make_run(tmp_path / "k", finished=True)
    assert select(run, code={"seqexp": "2"}) == run


def test_reruns(tmp_path: Path) -> None:
    run = tmp_path / "k"
    assert select(run, rerun=True) == run, "the first run needs no number"
    make_run(run)
    assert select(run, rerun=True) == tmp_path / "k-2"
    make_run(tmp_path / "k-2")
    assert select(run, rerun=True) == tmp_path / "k-2", "an unfinished rerun goes on"
    assert select(run, rerun=True, code={"seqexp": "2"}) == tmp_path / "k-3"
    (tmp_path / "k-2/result.json").write_text("{}")
    make_run(tmp_path / "k-10", finished=True)
    assert select(run, rerun=True) == tmp_path / "k-11"


def test_a_directory_of_another_run_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path / "mine", finished=True)
    with pytest.raises(UserError, match="holds a run of other data"):
        select(run, key="x", data="e")
    with pytest.raises(UserError, match="holds a run of another config"):
        select(run, key="x", config="e", force=True)


def test_a_damaged_provenance_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "k")
    (run / "provenance.json").write_text("{")
    with pytest.raises(UserError, match=r"provenance.json: damaged"):
        select(run)


def test_runs_of_the_same_config_on_other_data_are_found(tmp_path: Path) -> None:
    old = make_run(tmp_path / "a", data="old")
    make_run(tmp_path / "b", data="old", config="other")
    assert runs_on_other_data(tmp_path / "k", ORIGIN) == [old]


def test_when_two_runs_take_their_examples_in_the_same_order(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    config = {"seed": 1, "batch": {"max_tokens": 3}, "optimizer": {"lr": 1}}
    (run / "config.json").write_text(json.dumps(config))
    assert same_order(run, {**config, "optimizer": {"lr": 2}}, ORIGIN)
    assert not same_order(run, {**config, "seed": 2}, ORIGIN)
    assert not same_order(run, config, {**ORIGIN, "data": "e"})
    assert not same_order(tmp_path / "nothing", config, ORIGIN)
