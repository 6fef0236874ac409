"""Number formats, and losses that are not finite, in whole runs: skipped, rolled back, interrupted and resumed."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqexp.criterions.base import LossOutput
from seqexp.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropy
from seqexp.runs.journal import read_journal

from . import poison
from .conftest import TINY, Command
from .poison import poisoned
from .test_resume import CrashError, die_at, metrics_of, weights_of

OPTIONS = [
    *TINY,
    "stop.max_updates=16",
    "batch.micro_batches=2",
    "validation.every.updates=9",
    "validation.scores=false",
    "validation.final_splits=[]",
    "checkpoint.every.updates=4",
    "log.every_updates=5",
]
BATCHES = ["batch.normalize_by=sentences", "batch.curriculum=1", "batch.num_buckets=2", "batch.pad_to_multiple=4"]
BAD_EXAMPLE = 17


def journal_of(run: Path, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_journal(run / "journal.jsonl") if line["kind"] == kind]


def progress_of(run: Path) -> dict[str, Any]:
    """The counters of the last checkpoint, without times."""
    path = sorted(run.glob("checkpoints/*/training/progress.json"))[-1]
    progress: dict[str, Any] = json.loads(path.read_text())
    for timed in (progress, progress["validated"], progress["saved"]):
        timed.pop("seconds")
    return progress


def reports_of(run: Path) -> dict[str, str]:
    """Each saved batch by the name of its directory."""
    return {path.parent.name: path.read_text() for path in run.glob("non_finite/*/batch.json")}


def assert_same_end(one: Path, other: Path) -> None:
    assert weights_of(one) == weights_of(other)
    assert metrics_of(one) == metrics_of(other)
    assert progress_of(one) == progress_of(other)
    assert reports_of(one) == reports_of(other)


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        ("large", ["precision=fp16", "precision.window=3"]),
        ("infinite", ["precision=fp16", "precision.min_scale=64", "non_finite.policy=rollback"]),
        ("nan", ["precision=bf16", "non_finite.policy=skip", "optimizer=adamw"]),
        ("nan", ["non_finite.policy=rollback", "batch.num_workers=1"]),
        ("none", ["precision=bf16_memory_efficient", *BATCHES, "freeze=[encoder.*]"]),
    ],
    ids=["overflow", "floor", "skip", "rollback", "batches"],
)
def test_a_crash_changes_nothing(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, kind: str, extra: list[str]
) -> None:
    monkeypatch.setattr(LabelSmoothedCrossEntropy, "forward", poisoned(kind, BAD_EXAMPLE))
    arguments = [*OPTIONS, *extra, f"task.data={data}"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    command("train", *arguments, f"run.dir={whole}")
    with monkeypatch.context() as patch:
        die_at(11, patch)
        with pytest.raises(CrashError):
            command("train", *arguments, f"run.dir={broken}")
    command("train", *arguments, f"run.dir={broken}")
    assert_same_end(broken, whole)
    progress = progress_of(whole)
    assert (progress["num_skipped_updates"] >= 2) == (kind != "none")
    assert (progress["num_non_finite"] >= 2) == ("non_finite.policy" in " ".join(extra))
    assert len(reports_of(whole)) == progress["num_non_finite"]


def test_an_overflow_is_skipped_and_counted(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabelSmoothedCrossEntropy, "forward", poisoned("large", BAD_EXAMPLE))
    arguments = [*OPTIONS, "precision=fp16", "precision.window=4", f"task.data={data}", f"run.dir={tmp_path}"]
    _, messages = command("train", *arguments, "batch.order=by_length", "log.every_updates=1")
    skipped = journal_of(tmp_path, "skipped")
    assert len(skipped) >= 2
    for line in skipped:
        assert line["reason"] == "overflow"
        text = f"update {line['update']}: overflow, {line['num_examples']} examples skipped"
        assert f"{text}; loss scale {line['loss_scale']:g}\n" in messages
    progress = progress_of(tmp_path)
    assert progress["num_skipped_examples"] == sum(line["num_examples"] for line in skipped)
    assert progress["update"] == 16
    # Every update has one line, and each reports the scale that it was made with or has just changed to.
    train = journal_of(tmp_path, "train")
    assert [line["update"] for line in train] == list(range(1, 17))
    assert {line["metrics"]["loss_scale"] for line in train} > {128.0}
    assert all(isinstance(line["metrics"]["loss"], float) for line in train)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["num_skipped_examples"] == progress["num_skipped_examples"]


def test_by_default_the_run_stops_and_can_be_told_to_go_on(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*OPTIONS, f"task.data={data}", f"run.dir={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(LabelSmoothedCrossEntropy, "forward", poisoned("nan", BAD_EXAMPLE))
        errors = []
        for _ in range(2):  # the second time it resumes, and comes to the same end
            with pytest.raises(SystemExit) as stopped:
                command("train", *arguments)
            assert stopped.value.code == 2
            errors.append(capsys.readouterr().err.splitlines()[-1])
    assert errors[0] == errors[1]
    (name,) = reports_of(tmp_path)
    assert errors[0].startswith(f"error: update {int(name[7:15])}: the output of criterion is not finite; examples ")
    assert (
        f"saved in {tmp_path / 'non_finite' / name}; the same command with non_finite.policy=skip goes on" in errors[0]
    )
    assert not (tmp_path / "result.json").exists()
    monkeypatch.setattr(LabelSmoothedCrossEntropy, "forward", poisoned("nan", BAD_EXAMPLE))
    command("train", *arguments, "non_finite.policy=skip")
    assert json.loads((tmp_path / "result.json").read_text())["updates"] == 16


def test_at_the_floor_the_message_says_what_to_do(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LabelSmoothedCrossEntropy, "forward", poisoned("large", BAD_EXAMPLE))
    floor = ["precision=fp16", "precision.min_scale=64"]
    with pytest.raises(SystemExit):
        command("train", *OPTIONS, *floor, f"task.data={data}", f"run.dir={tmp_path}")
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the gradient of encoder.embedding.tokens.weight is not finite" in error
    advice = "loss scale 128 does not help, and precision.min_scale=64 is the least: lower optimizer.lr"
    assert advice in error


def test_limits_end_a_run_that_only_skips(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forward(self: Any, model: Any, batch: Any) -> LossOutput:
        output = original(self, model, batch)
        return LossOutput(output.sum * float("nan") if model.training else output.sum, output.num_targets)

    original = LabelSmoothedCrossEntropy.forward
    monkeypatch.setattr(LabelSmoothedCrossEntropy, "forward", forward)
    for policy in ("skip", "rollback"):
        options = [f"non_finite.policy={policy}", "non_finite.max_in_a_row=2", f"run.dir={tmp_path / policy}"]
        with pytest.raises(SystemExit):
            command("train", *OPTIONS, *options, f"task.data={data}")
        assert "more than non_finite.max_in_a_row=2 such batches" in capsys.readouterr().err
        assert len(reports_of(tmp_path / policy)) == 3


def test_a_rollback_undoes_the_updates_since_the_checkpoint(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its journal says so, and the data before the bad batch does not come again."""
    seen: list[int] = []

    def forward(self: Any, model: Any, batch: Any) -> LossOutput:
        output = original(self, model, batch)
        if model.training:
            seen.append(int(batch.indices[0]))
            if len(seen) == 7:
                return LossOutput(output.sum * float("nan"), output.num_targets)
        return output

    original = LabelSmoothedCrossEntropy.forward
    monkeypatch.setattr(LabelSmoothedCrossEntropy, "forward", forward)
    options = ["non_finite.policy=rollback", "batch.micro_batches=1", "batch.order=as_is", "stop.max_updates=8"]
    command("train", *OPTIONS, *options, f"task.data={data}", f"run.dir={tmp_path}")
    (line,) = journal_of(tmp_path, "rollback")
    assert (line["update"], line["to_update"], line["epoch"], line["batch"]) == (6, 4, 0, 7)
    # six updates, the bad one twice (once more to find the cause), and from update 4 on the four that follow it
    assert seen[6] == seen[7]
    assert len(seen) == 12
    assert len(set(seen)) == 11
    assert progress_of(tmp_path)["batch"] == 11


def test_validation_draws_the_same_with_a_seed(
    tmp_path: Path, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: Any, model: Any, batch: Any) -> LossOutput:
        output = original(self, model, batch)
        return output if model.training else LossOutput(torch.rand(()) * batch.num_targets, batch.num_targets)

    original = LabelSmoothedCrossEntropy.forward
    monkeypatch.setattr(LabelSmoothedCrossEntropy, "forward", forward)
    for seed, num_different in (("null", 3), ("5", 1)):
        run = tmp_path / seed
        options = [f"validation.seed={seed}", f"run.dir={run}", "stop.max_updates=9", "validation.every.updates=3"]
        command("train", *OPTIONS, *options, f"task.data={data}")
        losses = [line["metrics"]["loss"] for line in journal_of(run, "valid")]
        assert len(losses) == 3
        assert len(set(losses)) == num_different


def test_frozen_parameters_do_not_move(tmp_path: Path, data: Path, command: Command) -> None:
    options = ["optimizer=adamw", "optimizer.weight_decay=0.5", "freeze=[encoder.layers.*,decoder.norm.*]"]
    command("train", *OPTIONS, *options, "stop.max_updates=8", f"task.data={data}", f"run.dir={tmp_path}")
    first, last = (load_file(tmp_path / f"checkpoints/update-0000000{n}/model.safetensors") for n in (4, 8))
    unmoved = {name for name in first if torch.equal(first[name], last[name])}
    frozen = {name for name in first if name.startswith(("encoder.layers.", "decoder.norm."))}
    assert len(frozen) > 5
    assert unmoved == frozen
    state = json.loads((tmp_path / "checkpoints/update-00000008/training/optimizer.json").read_text())["state"]
    assert state.keys() == first.keys() - frozen


def test_padding_to_buckets_changes_no_loss(tmp_path: Path, data: Path, command: Command) -> None:
    losses = []
    for name, padding in (("plain", []), ("padded", ["batch.num_buckets=2", "batch.pad_to_multiple=8"])):
        batches = ["model.dropout=0", "batch.order=as_is", "batch.max_tokens=null", "batch.max_sentences=8"]
        options = ["stop.max_updates=6", "log.every_updates=1", f"task.data={data}", f"run.dir={tmp_path / name}"]
        command("train", *OPTIONS, *batches, *padding, *options)
        losses.append([m["loss"] for (kind, _), m in metrics_of(tmp_path / name).items() if kind == "train"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert len(losses[0]) == 6


@pytest.mark.parametrize("precision", ["bf16", "fp16", "bf16_memory_efficient"])
def test_validation_and_search_in_every_format(tmp_path: Path, data: Path, command: Command, precision: str) -> None:
    options = [f"precision={precision}", "validation.scores=true", "stop.max_updates=4", f"run.dir={tmp_path}"]
    command("train", *OPTIONS, *options, f"task.data={data}")
    (line,) = journal_of(tmp_path, "valid")
    assert {"loss", "nll_loss", "bleu"} <= line["metrics"].keys()
    command("generate", f"run={tmp_path}", "split=valid")


@pytest.mark.slow
def test_kill_9_while_updates_overflow(tmp_path: Path, data: Path) -> None:
    script = [sys.executable, str(Path(poison.__file__)), "infinite", str(BAD_EXAMPLE)]
    options = [*OPTIONS, "precision=fp16", "precision.min_scale=64", "non_finite.policy=rollback", f"task.data={data}"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*script, *options, f"run.dir={whole}"], cwd=tmp_path, check=True, capture_output=True)
    arguments = [*script, *options, f"run.dir={broken}"]
    chance = random.Random()
    for _ in range(2):
        process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (broken / "lease.json").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.05, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True)
    assert_same_end(broken, whole)
    assert progress_of(whole)["num_non_finite"] > 0
