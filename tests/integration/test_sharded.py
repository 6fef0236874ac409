"""Weights and optimizer state shared out over processes: the same result, and checkpoints that any layout reads."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from seqexp.checkpoint.layout import Checkpoint, Weights, open_checkpoint

from .conftest import TINY, Command
from .test_processes import FAULTY, HERE, journal_of
from .test_resume import metrics_of, weights_of

OPTIONS = [
    *TINY,
    "stop.max_updates=9",
    "log.every_updates=4",
    "validation.every.updates=5",
    "validation.final_splits=[]",
    "validation.sanity=0",
    "checkpoint.every.updates=3",
    "checkpoint.keep_last=9",
]


def layout(name: str, num_processes: int) -> list[str]:
    return [f"distributed={name}", f"distributed.num_processes={num_processes}"]


@pytest.fixture(autouse=True)
def _faulty_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def checkpoint_at(run: Path, update: int) -> Checkpoint:
    return open_checkpoint(run / f"checkpoints/update-{update:08d}")


def back_to(run: Path, update: int, copy: Path) -> Path:
    """A copy of a finished run as it was when a checkpoint had just been written."""
    shutil.copytree(run, copy)
    (copy / "result.json").unlink()
    for path in copy.glob("checkpoints/*"):
        if int(path.name.removeprefix("update-")) > update:
            shutil.rmtree(path)
    return copy


def assert_same_result(run: Path, other: Path) -> None:
    """Weights, those the optimizer changes and their average, and figures are equal but for rounding."""
    for which in Weights:
        weights, others = (checkpoint_at(path, 9).weights(which) for path in (run, other))
        assert weights.keys() == others.keys()
        for name, value in weights.items():
            torch.testing.assert_close(others[name], value, rtol=1e-9, atol=1e-9)
    figures, others_figures = metrics_of(run), metrics_of(other)
    assert figures.keys() == others_figures.keys()
    for key, metrics in figures.items():
        assert others_figures[key] == pytest.approx(metrics, rel=1e-9)


def test_two_processes_are_one_and_their_checkpoint_is_read_by_one_and_by_three(
    tmp_path: Path, data: Path, command: Command
) -> None:
    """In 64 bits with Adam, dropout, updates of three micro-batches, tied and frozen weights, a moving average."""
    options = [*OPTIONS, "precision=fp64", "batch.micro_batches=3", "ema.decay=0.8", f"task.data={data}"]
    options += ["freeze=[decoder.layers.0.feed_forward_norm.*]", "non_finite.policy=skip"]
    one, two = tmp_path / "one", tmp_path / "two"
    command("train", *options, f"run.dir={one}")
    command("train", *options, f"run.dir={two}", *layout("fsdp", 2))
    assert_same_result(one, two)
    assert journal_of(two, "valid")[0]["metrics"]["bleu"] > 0.1
    provenance = [json.loads((run / "provenance.json").read_text()) for run in (one, two)]
    assert provenance[0]["key"] == provenance[1]["key"]

    files = checkpoint_at(two, 3).info["files"]
    for name in ("model", "training/model", "training/optimizer"):
        sizes = [files[f"{name}-0000{number}-of-00002.safetensors"]["size"] for number in (1, 2)]
        assert min(sizes) > 0.8 * max(sizes)

    by_zero = tmp_path / "by-zero"
    for source, update, run, others in (
        (two, 3, tmp_path / "by-one", []),
        (two, 3, by_zero, layout("zero", 2)),
        (by_zero, 5, tmp_path / "by-three", layout("fsdp", 3)),
    ):
        back_to(source, update, run)
        command("train", *options, f"run.dir={run}", *others)
        assert f"resuming after update {update}" in (run / "log.txt").read_text()
        assert_same_result(one, run)

    texts = []
    for run in (one, two):
        command("generate", f"run={run}", "checkpoint=3", "split=test")
        (found,) = run.glob("generate/*/hypotheses.txt")
        texts.append(found.read_text())
    assert texts[0] == texts[1] != ""


def test_resumed_by_two_it_ends_as_if_never_interrupted(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 1 dies while a checkpoint is written, then gets a SIGTERM; bit for bit, with weights in 16 and 32 bits and
    the average of the latter."""
    options = [*OPTIONS, *FAULTY, "precision=bf16_master", "ema.decay=0.9", f"task.data={data}", *layout("fsdp", 2)]
    options += ["validation.scores=false"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command("train", *options, f"run.dir={whole}")
    monkeypatch.setenv("FAULT", "save:1:5")
    with pytest.raises(SystemExit) as left:
        command("train", *options, f"run.dir={broken}")
    assert left.value.code == 1
    assert "ended with exit status 3" in journal_of(broken, "failed")[-1]["error"]
    assert [path.name for path in broken.glob("checkpoints/update-*")] == ["update-00000003"]
    checkpoint_at(broken, 3).verify()
    monkeypatch.setenv("FAULT", "SIGTERM:1:2")
    with pytest.raises(SystemExit) as left:
        command("train", *options, f"run.dir={broken}")
    assert left.value.code == 143
    assert journal_of(broken, "checkpoint")[-1]["update"] == 5
    shutil.rmtree(broken / "checkpoints/update-00000005")
    monkeypatch.delenv("FAULT")
    command("train", *options, f"run.dir={broken}")
    assert weights_of(broken) == weights_of(whole)
    assert metrics_of(broken) == metrics_of(whole)


def test_a_batch_that_is_not_finite_in_one_process_is_found_and_left_out(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 16 bits on the way, and all else that may be chosen."""
    monkeypatch.setenv("FAULT", "nan:any:34")
    run = tmp_path / "run"
    options = ["precision=bf16", "non_finite.policy=skip", "distributed.communication.weights=precision"]
    options += ["distributed.cpu_offload=true", "distributed.reshard_after_forward=false", "validation.scores=false"]
    command("train", *OPTIONS, *FAULTY, *options, *layout("fsdp", 2), f"task.data={data}", f"run.dir={run}")
    (line,) = journal_of(run, "non_finite")
    assert re.match(r"rank [01]: update \d: the output of criterion is not finite; examples .*\b34\b", line["message"])
    losses = [line["metrics"]["loss"] for line in journal_of(run, "train")]
    assert losses[-1] < losses[0]
