"""Runs of processes that train apart. What they compute is checked in test_processes.py, in a launch with others."""

from pathlib import Path

import pytest
import torch

from seqexp.checkpoint.layout import Checkpoint, Weights, open_checkpoint

from .conftest import Command
from .test_processes import FAULTY, HERE, OPTIONS, journal_of
from .test_resume import metrics_of, weights_of
from .test_sharded import back_to

APART = ["distributed=slowmo", "distributed.num_processes=2", "distributed.start_update=3", "distributed.period=5"]
APART += ["distributed.momentum=0.4"]


@pytest.fixture(autouse=True)
def _faulty_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def test_resumed_it_ends_as_if_never_interrupted(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Resumed when weights were just averaged, and by a SIGTERM between two averagings; weights in 16 and 32 bits."""
    options = [*OPTIONS, *FAULTY, *APART, "precision=bf16_master", "checkpoint.keep_last=9", f"task.data={data}"]
    options += ["stop.max_updates=16", "validation.scores=false"]
    whole = tmp_path / "whole"
    command("train", *options, f"run.dir={whole}")
    losses = [line["metrics"]["loss"] for line in journal_of(whole, "train")]
    assert losses[-1] < losses[0]
    expected, figures = weights_of(whole), metrics_of(whole)
    assert {"4", "8", "16"} <= expected.keys()
    assert_average_of_two(open_checkpoint(whole / "checkpoints/update-00000008"), is_averaged=True)

    broken = back_to(whole, 8, tmp_path / "broken")
    monkeypatch.setenv("FAULT", "SIGTERM:1:2")
    with pytest.raises(SystemExit) as left:
        command("train", *options, f"run.dir={broken}")
    assert left.value.code == 143
    monkeypatch.delenv("FAULT")
    newest = sorted(broken.glob("checkpoints/update-*"))[-1]
    between = open_checkpoint(newest)
    assert 8 < between.update < 13
    assert_average_of_two(between, is_averaged=False)
    command("train", *options, f"run.dir={broken}")
    for update in (8, between.update):
        assert f"resuming after update {update}" in (broken / "log.txt").read_text()
    # The SIGTERM has put off the checkpoints between it and the end.
    assert {update: weights_of(broken)[update] for update in ("4", "8", "16")} == {
        update: expected[update] for update in ("4", "8", "16")
    }
    assert metrics_of(broken) == figures

    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        command("train", *OPTIONS, f"task.data={data}", f"checkpoint.continue_from={between.path}")
    assert left.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {between.path} holds the optimizer states of 2 processes that trained apart: go on with "
        "distributed=local_sgd and 2 processes, or begin with the average of their weights, by checkpoint.finetune_from"
    )


def assert_average_of_two(checkpoint: Checkpoint, *, is_averaged: bool) -> None:
    """Its `model` is what one uses; each process' weights are there where they differ, and each optimizer's state."""
    checkpoint.verify()
    assert checkpoint.num_ranks == 2
    own = {f"training/rank-{rank}/optimizer" for rank in (0, 1)}
    if not is_averaged:
        own |= {f"training/rank-{rank}/{name}" for rank in (0, 1) for name in ("model", "master")}
    assert {name for name in checkpoint.sets() if "rank" in name} == own
    moments = [checkpoint.tensors(f"training/rank-{rank}/optimizer").read_all() for rank in (0, 1)]
    assert any(not torch.equal(value, moments[1][name]) for name, value in moments[0].items())
    if is_averaged:
        masters = [checkpoint.tensors("training/master").read_all()]
    else:
        masters = [checkpoint.tensors(f"training/rank-{rank}/master").read_all() for rank in (0, 1)]
    for name, weight in checkpoint.weights(Weights.trained).items():
        assert torch.equal(weight, torch.stack([each[name] for each in masters]).mean(0).to(weight.dtype))
