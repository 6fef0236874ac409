"""Batches that fit, updates that do not, and what saves memory, in whole runs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from seqexp.criterions.base import LossOutput
from seqexp.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropy
from seqexp.generators.beam import BeamSearch
from seqexp.training.probe import Report

from .conftest import TINY, Command
from .test_resume import CrashError, die_at, metrics_of, weights_of
from .test_runs import failing

OPTIONS = [
    *TINY,
    "stop.max_updates=12",
    "validation.every.updates=6",
    "validation.final_splits=[]",
    "checkpoint.every.updates=4",
    "log.every_updates=3",
]
FIT = ["batch.fit=true", "batch.fit_memory=24", "batch.max_tokens=8000"]


def fitted(run: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((run / "batch.json").read_text())
    return found


def test_a_batch_that_fits(tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found once, kept when the run goes on, and the run is that with the same numbers given."""
    arguments = [*OPTIONS, *FIT, f"task.data={data}", f"run.root={tmp_path}"]
    with monkeypatch.context() as patch:
        die_at(6, patch)
        with pytest.raises(CrashError):
            command("train", *arguments)
    (run,) = (path.parent for path in tmp_path.glob("default/*/config.json"))
    found = fitted(run)
    assert found["max_tokens"] < 8000
    assert found["micro_batches"] > 1
    assert 0 <= found["max_tokens"] * found["micro_batches"] - 8000 < found["micro_batches"]
    assert found["limit_mebibytes"] == 24
    with monkeypatch.context() as patch:
        patch.setattr("seqexp.training.setup.fit_batch", None)  # nothing is tried again
        command("train", *arguments, "batch.fit_memory=99", "memory.activation_checkpoint=full")
    assert fitted(run) == found
    assert (run / "result.json").exists()
    given = [f"batch.{name}={found[name]}" for name in ("max_tokens", "micro_batches")]
    command("train", *OPTIONS, *given, f"task.data={data}", f"run.dir={tmp_path / 'given'}")
    assert weights_of(tmp_path / "given") == weights_of(run)
    assert metrics_of(tmp_path / "given").keys() == metrics_of(run).keys()
    for key, metrics in metrics_of(run).items():
        assert metrics == pytest.approx(metrics_of(tmp_path / "given")[key], rel=1e-5)


def test_two_processes_share_what_fits(tmp_path: Path, data: Path, command: Command) -> None:
    """One of them searches; all of an update would fit into one micro-batch."""
    run = tmp_path / "run"
    two = ["distributed=ddp", "distributed.num_processes=2", "stop.max_updates=2", "batch.fit=true"]
    command("train", *OPTIONS, *two, "batch.max_tokens=600", f"task.data={data}", f"run.dir={run}")
    found = fitted(run)
    assert (found["max_tokens"], found["micro_batches"]) == (300, 2)
    assert found["largest_max_tokens"] == 600
    assert json.loads((run / "result.json").read_text())["updates"] == 2
    assert "nothing to compute" not in (run / "log.txt").read_text()


def test_nothing_fits(
    tmp_path: Path,
    data: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("seqexp.training.fit.run_trial", lambda trial: Report(limit=trial.limit, peak=30 * 2**20 + 1))
    arguments = [*OPTIONS, *FIT, f"task.data={data}", f"run.root={tmp_path}"]
    status, printed = failing(command, capsys, "train", *arguments)
    assert status == 2
    assert "error: batch.fit: an update with the longest example, " in printed
    assert "needs 31 MiB of memory or more, and there are 24: limit the length of examples" in printed
    assert list(tmp_path.iterdir()) == []


def hungry(update: int) -> Any:
    """The criterion's forward, which runs out of memory in an update, unless there is less to keep."""
    original = LabelSmoothedCrossEntropy.forward
    calls = 0

    def forward(self: LabelSmoothedCrossEntropy, model: Any, batch: Any) -> LossOutput:
        nonlocal calls
        if model.training:
            calls += 1
            if calls > update:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return original(self, model, batch)

    return forward


def test_out_of_memory_and_on_with_less(
    tmp_path: Path,
    data: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the line advises goes on with the same run, which ends as if there had been memory enough."""
    arguments = [*OPTIONS, f"task.data={data}", f"run.root={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(LabelSmoothedCrossEntropy, "forward", hungry(5))
        status, printed = failing(command, capsys, "train", *arguments)
    assert status == 1
    line = printed.splitlines()[-1]
    assert line.startswith("error: update 5: epoch 1, micro-batch 1 of 1 (")
    assert "the same command with memory.activation_checkpoint=full goes on; a new run may have" in line
    command("train", *arguments, "memory.activation_checkpoint=full")
    (run,) = tmp_path.glob("default/*")
    command("train", *OPTIONS, f"task.data={data}", f"run.dir={tmp_path / 'whole'}")
    assert weights_of(run) == weights_of(tmp_path / "whole")


def test_validation_out_of_memory(
    tmp_path: Path,
    data: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of the loss or the search, in training or in the command: a line with split and batch."""

    def no_memory(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")

    run = tmp_path / "run"
    arguments = [*OPTIONS, "stop.max_updates=2", "validation.sanity=0", f"task.data={data}", f"run.dir={run}"]
    with monkeypatch.context() as patch:
        patch.setattr(BeamSearch, "generate", no_memory)
        status, printed = failing(command, capsys, "train", *arguments, "validation.scores=true")
    assert status == 1
    line = printed.splitlines()[-1]
    assert re.match(
        r"error: split valid: the search of a batch \(\d+ sentences x .*; examples \d+.*\) does not fit", line
    )
    assert line.endswith("generator.beam_size below 2, or validation.scores=false")
    other = tmp_path / "other"
    command("train", *arguments[:-1], f"run.dir={other}", "validation.scores=false")
    with monkeypatch.context() as patch:
        patch.setattr(LabelSmoothedCrossEntropy, "forward", no_memory)
        status, printed = failing(command, capsys, "validate", f"run={other}", f"task.data={data}")
    assert status == 1
    line = printed.splitlines()[-1]
    assert line.startswith("error: split valid: the loss of a batch (")
    assert line.endswith("does not fit into memory: take max_tokens below 4096")


@pytest.mark.parametrize(
    "options",
    [
        ["memory.activation_checkpoint=selective", "memory.every_n_blocks=2"],
        ["memory.activation_checkpoint=full", "precision=bf16"],
        ["memory.activation_checkpoint=full", "precision=fp16", "model.encoder.layerdrop=0.3"],
    ],
    ids=["selective", "bf16", "fp16"],
)
def test_less_memory_changes_nothing(tmp_path: Path, data: Path, command: Command, options: list[str]) -> None:
    others = [option for option in options if not option.startswith("memory.")]
    for name, more in (("plain", others), ("saving", options)):
        arguments = [*OPTIONS, *more, "validation.scores=false", f"task.data={data}", f"run.dir={tmp_path / name}"]
        command("train", *arguments)
    assert weights_of(tmp_path / "saving") == weights_of(tmp_path / "plain")
    assert metrics_of(tmp_path / "saving") == metrics_of(tmp_path / "plain")
