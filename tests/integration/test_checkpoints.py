"""Checkpoints in whole runs: written beside the training, averaged, begun with, chosen."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqexp.checkpoint import writing
from seqexp.checkpoint.layout import (
    MODEL,
    OPTIMIZER,
    OPTIMIZER_SCALARS,
    PROGRESS,
    Checkpoint,
    Weights,
    open_checkpoint,
    read_json,
)
from seqexp.checkpoint.tensors import Part, TensorSet
from seqexp.checkpoint.writing import Content
from seqexp.runs.journal import read_journal

from .conftest import TINY, Command, prepared
from .test_pipeline import read_result
from .test_resume import OPTIONS, CrashError, die_at, metrics_of, weights_of
from .test_runs import failing, send_signal_at

SHORT = [*TINY, "validation.scores=false", "validation.final_splits=[]"]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines_of(run: str, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_journal(Path(run) / "journal.jsonl") if line["kind"] == kind]


def updates_of(run: str) -> list[int]:
    return [int(path.name[7:]) for path in sorted(Path(run).glob("checkpoints/update-*"))]


def fails_at(number: int) -> Any:
    """A disk that is full when checkpoint `number`, from 0, is written."""
    seen = iter(range(100))
    original = writing.merge_shares

    def merge(shares: Any) -> Any:
        if next(seen) // 2 == number:  # weights and optimizer
            raise OSError(28, "No space left on device")
        return original(shares)

    return merge


def test_the_way_of_writing_changes_nothing(data: Path, command: Command) -> None:
    ways = {"beside": "true", "waiting": "false"}
    for run, way in ways.items():
        command("train", *OPTIONS, f"task.data={data}", f"run.dir={run}", f"checkpoint.asynchronous={way}")
    assert weights_of(Path("beside")) == weights_of(Path("waiting"))
    assert metrics_of(Path("beside")) == metrics_of(Path("waiting"))
    written = [[line["update"] for line in lines_of(run, "checkpoint")] for run in ways]
    assert written[0] == written[1]
    assert written[0][:3] == [4, 8, 9]
    assert set(updates_of("beside")) <= set(written[0])
    keys = {json.loads(Path(f"{run}/provenance.json").read_text())["key"] for run in ways}
    assert len(keys) == 1


def test_an_update_waits_for_no_write(data: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first checkpoint is finished when the training ends, and only then is it in the journal."""
    gate, original = threading.Event(), writing.merge_shares
    monkeypatch.setattr(writing, "merge_shares", lambda shares: (gate.wait(), original(shares))[1])
    events: list[Any] = []
    from seqexp.training.trainer import Trainer

    count = Trainer._count

    def counting(self: Trainer, *counts: Any) -> None:
        count(self, *counts)
        events.append(self.progress.update)
        if self.progress.update == 6:
            assert lines_of("run", "checkpoint") == []
            gate.set()

    monkeypatch.setattr(Trainer, "_count", counting)
    command("train", *SHORT, f"task.data={data}", "run.dir=run", "stop.max_updates=6", "checkpoint.every.updates=4")
    assert [line["update"] for line in lines_of("run", "checkpoint")] == [4, 6]


@pytest.mark.parametrize("asynchronous", ["true", "false"])
def test_a_write_that_fails_ends_the_run_and_the_next_attempt_goes_on(
    data: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asynchronous: str,
) -> None:
    arguments = [*OPTIONS, f"task.data={data}", f"checkpoint.asynchronous={asynchronous}"]
    command("train", *arguments, "run.dir=whole")
    with monkeypatch.context() as patch:
        patch.setattr(writing, "merge_shares", fails_at(1))
        status, printed = failing(command, capsys, "train", *arguments, "run.dir=broken")
    assert status == 2
    error = printed.splitlines()[-1]
    assert error.startswith("error: broken/checkpoints/update-00000008 cannot be saved: No space left on device; ")
    assert updates_of("broken") == [4]
    assert not list(Path("broken/checkpoints").glob(".*"))
    (failed,) = lines_of("broken", "failed")
    assert "No space left on device" in failed["error"]
    command("train", *arguments, "run.dir=broken")
    assert weights_of(Path("broken")) == weights_of(Path("whole"))


@pytest.mark.parametrize("asynchronous", ["true", "false"])
def test_a_crash_leaves_whole_checkpoints_only(
    data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, asynchronous: str
) -> None:
    arguments = [*OPTIONS, f"task.data={data}", f"checkpoint.asynchronous={asynchronous}", "run.dir=run"]
    with monkeypatch.context() as patch:
        die_at(8, patch)  # right behind a checkpoint
        with pytest.raises(CrashError):
            command("train", *arguments)
    assert updates_of("run") == [4, 8]
    assert [line["update"] for line in lines_of("run", "checkpoint")] == [4, 8]
    for path in Path("run/checkpoints").iterdir():
        open_checkpoint(path).verify()


def test_a_moving_average_is_validated_and_used(data: Path, command: Command, capsys: Any) -> None:
    arguments = [*SHORT, f"task.data={data}", "stop.max_updates=8", "ema.decay=0.9"]
    command("train", *arguments, "run.dir=run")
    checkpoint = open_checkpoint(Path("run/checkpoints/update-00000008"))
    names = checkpoint.weights().keys()
    assert names == checkpoint.weights(Weights.trained).keys()
    losses = {}
    for weights in Weights:
        printed, _ = command("validate", "run=run", "scores=false", f"weights={weights.value}", "checkpoint=last")
        losses[weights] = read_result(printed)["valid"]["loss"]
    assert losses[Weights.validated] == losses[Weights.averaged] != losses[Weights.trained]
    assert losses[Weights.validated] == pytest.approx(lines_of("run", "valid")[-1]["metrics"]["loss"])
    outputs = {read_result(command("generate", "run=run", f"weights={each.value}")[0])["key"] for each in Weights}
    assert len(outputs) == 2
    command("train", *arguments[:-1], "run.dir=plain")
    plain = open_checkpoint(Path("plain/checkpoints/update-00000008")).weights()
    assert all(torch.equal(plain[name], tensor) for name, tensor in checkpoint.weights(Weights.trained).items())
    status, printed = failing(command, capsys, "generate", "run=plain", "weights=averaged")
    assert (status, printed.count("\n")) == (2, 1)
    assert "has no moving average: it was trained without ema.decay" in printed
    # Continued with and without one.
    more = ["stop.max_updates=10", "checkpoint.continue_from=run"]
    command("train", *arguments, *more, "run.dir=with")
    command("train", *arguments[:-1], *more, "run.dir=without")
    trained = [open_checkpoint(Path(f"{run}/checkpoints/update-00000010")) for run in ("with", "without")]
    one, other = (each.weights(Weights.trained) for each in trained)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_three_by_a_metric_of_another_split(data: Path, command: Command) -> None:
    options = ["stop.max_updates=14", "validation.every.updates=2", "validation.splits=[test,valid]"]
    keeping = ["checkpoint.keep_best=3", "checkpoint.keep_last=1", "checkpoint.metric=valid/bleu"]
    arguments = [*TINY, f"task.data={data}", "run.dir=run", *options, *keeping, "checkpoint.every.updates=100"]
    result = read_result(command("train", *arguments, "optimizer.lr=0.03")[0])
    values = {line["update"]: line["metrics"]["valid/bleu"] for line in lines_of("run", "valid")}
    assert len(set(values.values())) > 1
    best = sorted(values, key=lambda update: (-values[update], update))
    assert updates_of("run") == sorted({*best[:3], 14})
    assert result["metric"] == "valid/bleu"
    assert result["best_update"] == best[0]
    assert result["best"] == values[best[0]]
    assert read_result(command("validate", "run=run", "scores=false")[0])["update"] == best[0]


def test_multiples_are_written_and_kept(data: Path, command: Command) -> None:
    keeping = ["checkpoint.every.updates=4", "checkpoint.keep_every_updates=5", "checkpoint.keep_last=1"]
    arguments = [*SHORT, f"task.data={data}", "run.dir=run", "stop.max_updates=12", "checkpoint.keep_best=0"]
    command("train", *arguments, *keeping, "validation.every.updates=100")
    assert [line["update"] for line in lines_of("run", "checkpoint")] == [4, 5, 9, 10, 12]
    assert updates_of("run") == [5, 10, 12]


def test_validation_begins_after_some_updates(data: Path, command: Command) -> None:
    options = ["stop.max_updates=11", "validation.every.updates=3", "validation.after_updates=5"]
    command("train", *SHORT, f"task.data={data}", "run.dir=run", *options)
    assert [line["update"] for line in lines_of("run", "valid")] == [6, 9, 11]
    command("train", *SHORT, f"task.data={data}", "run.dir=late", *options, "validation.after_updates=50")
    assert [line["update"] for line in lines_of("late", "valid")] == [11]


def test_patience_counts_validations(data: Path, command: Command) -> None:
    options = ["validation.every.updates=2", "stop.patience=2", "optimizer.lr=1e-9", "lr_scheduler=constant"]
    sgd = ["optimizer=sgd", "model.dropout=0", "stop.max_updates=50", "checkpoint.every.updates=100"]
    result = read_result(command("train", *SHORT, f"task.data={data}", "run.dir=run", *sgd, *options)[0])
    values = [line["metrics"]["loss"] for line in lines_of("run", "valid")]
    best = values.index(min(values))
    assert result["stop_reason"] == "stop.patience=2"
    assert len(values) == best + 1 + 2
    assert result["updates"] == 2 * len(values)


def test_a_signal_waits_for_what_is_being_written(
    data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import signal

    arguments = [*OPTIONS, f"task.data={data}", "run.dir=run"]
    with monkeypatch.context() as patch:
        send_signal_at(8, signal.SIGTERM, patch)
        failing(command, capsys, "train", *arguments)
    assert updates_of("run") == [4, 8, 9] or updates_of("run") == [8, 9]
    assert lines_of("run", "checkpoint")[-1]["update"] == 9


# Parts


def half_of(whole: Checkpoint, number: int) -> Content:
    """What one of two processes would hold of a checkpoint: half of the rows of every tensor."""
    tensors = {}
    for name in (MODEL, OPTIMIZER):
        files = whole.tensors(name)
        parts = {}
        for key in files.names():
            shape = files.shape(key)
            middle = (shape[0] + 1) // 2
            start, stop = (0, middle) if number == 0 else (middle, shape[0])
            parts[key] = Part(files.read(key)[start:stop], start, shape)
        tensors[name] = TensorSet(parts, files.aliases)
    documents = {name: read_json(whole.path / name) for name in (PROGRESS, OPTIMIZER_SCALARS)}
    task = whole.path / "task"
    files_of_task = {path.name: path for path in task.iterdir()}
    return Content(whole.update, whole.metrics, whole.config(), files_of_task, tensors, documents)


def test_a_checkpoint_in_parts_is_used_and_continued(run: str, data: Path, command: Command) -> None:
    whole, parts = Path("run/checkpoints/update-00000008"), Path("parts")
    for number in (1, 0):
        writing.write_checkpoint(parts, half_of(open_checkpoint(whole), number), writing.Writers(number, 2, "one"))
    assert len(list(parts.glob("model-*.safetensors"))) == len(list(parts.glob("training/optimizer-*"))) == 2
    texts = []
    for path in (whole, parts):
        result = read_result(command("generate", f"run={path}", "split=valid", f"output={path.name}-out")[0])
        texts.append(Path(result["hypotheses"]).read_text())
        more = ["stop.max_updates=10", f"checkpoint.continue_from={path}", f"run.dir=from-{path.name}"]
        command("train", *SHORT, f"task.data={data}", *more, "batch.order=as_is")
    assert texts[0] == texts[1]
    assert weights_of(Path(f"from-{whole.name}"))["10"] == weights_of(Path("from-parts"))["10"]


# Averages


@pytest.fixture
def run(data: Path, command: Command) -> str:
    """With checkpoints of updates 2, 4, 6 and 8."""
    every = ["checkpoint.every.updates=2", "checkpoint.keep_last=9", "validation.every.updates=4"]
    command("train", *SHORT, f"task.data={data}", "run.dir=run", "stop.max_updates=8", *every)
    return "run"


def weights_at(*updates: int) -> list[dict[str, torch.Tensor]]:
    return [load_file(f"run/checkpoints/update-{update:08d}/model.safetensors") for update in updates]


@pytest.mark.parametrize(
    ("ways", "updates"),
    [
        (["last=3"], [4, 6, 8]),
        (["last=2", "up_to_update=6"], [4, 6]),
        (["best=2"], [4, 8]),
        (["updates=[2,8]"], [2, 8]),
    ],
)
def test_averages_of_a_run(run: str, command: Command, ways: list[str], updates: list[int]) -> None:
    printed, _ = command("average", f"run={run}", *ways)
    *listed, last = printed.splitlines()
    assert len(listed) == len(updates)
    output = Path(last.rpartition(": ")[2])
    assert output.parent == Path("run/average")
    found = load_file(output / "model.safetensors")
    several = weights_at(*updates)
    for name, tensor in found.items():
        expected = sum(weights[name].double() for weights in several) / len(several)
        assert torch.equal(tensor, expected.float())
    assert sorted(each["update"] for each in open_checkpoint(output).info["average_of"]) == updates
    assert "there already" in command("average", f"run={run}", *ways)[0]


def test_an_average_is_used_like_a_checkpoint(run: str, data: Path, command: Command) -> None:
    paths = [f"run/checkpoints/update-0000000{update}" for update in (4, 8)]
    command("average", f"checkpoints=[{','.join(paths)}]", "output=averaged")
    alone = read_result(command("generate", "run=averaged", "split=valid")[0])
    named = read_result(command("generate", "run=run", "checkpoint=averaged", "split=valid")[0])
    assert Path(alone["hypotheses"]).read_text() == Path(named["hypotheses"]).read_text()
    found = read_result(command("validate", "run=run", "checkpoint=averaged", "scores=false")[0])
    assert found["valid"]["loss"] > 0
    arguments = [*SHORT, f"task.data={data}", "stop.max_updates=2", "checkpoint.finetune_from=averaged"]
    result = read_result(command("train", *arguments, "run.dir=tuned")[0])
    assert result["parent"] == "averaged"


# Beginning with the weights of another model


def test_finetuning_begins_with_the_weights_and_nothing_else(
    run: str, data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = [*SHORT, f"task.data={data}", "stop.max_updates=7", "checkpoint.finetune_from=run", "freeze=[encoder.*]"]
    arguments = [*options, "checkpoint.every.updates=3", "checkpoint.keep_last=9"]
    _, printed = command("train", *arguments, "run.dir=whole")
    assert "weights of run/checkpoints/update-" in printed
    report = json.loads(Path("whole/finetune.json").read_text())
    best = open_checkpoint(Path(report["source"]))
    assert report["loaded"] and not report["fresh"]
    trained = load_file("whole/checkpoints/update-00000003/model.safetensors")
    for name, tensor in best.weights().items():
        if name.startswith("encoder.layers."):
            assert torch.equal(trained[name], tensor)
    progress = json.loads(Path("whole/checkpoints/update-00000003/training/progress.json").read_text())
    assert (progress["update"], progress["epoch"]) == (3, 0)
    with monkeypatch.context() as patch:
        die_at(5, patch)
        with pytest.raises(CrashError):
            command("train", *arguments, "run.dir=broken")
    command("train", *arguments, "run.dir=broken")
    assert weights_of(Path("broken")) == weights_of(Path("whole"))
    origin = json.loads(Path("whole/provenance.json").read_text())
    assert origin["parent"] == {"checkpoint": str(best.path), "content": best.content}
    # The place of the source does not count, its content and the way do.
    Path("run").rename("moved")
    moved = [*options[:-2], "checkpoint.finetune_from=moved", "freeze=[encoder.*]"]
    command("train", *moved, "run.dir=again")
    assert json.loads(Path("again/provenance.json").read_text())["key"] == origin["key"]


def test_finetuning_with_another_vocabulary(run: str, text: Path, tmp_path: Path, command: Command) -> None:
    from seqexp.tokenizers.sentencepiece import SentencePieceConfig

    other = prepared(text, tmp_path / "other", subword=SentencePieceConfig(vocabulary_size=30))
    arguments = [*SHORT, f"task.data={other}", "stop.max_updates=2", "checkpoint.finetune_from=run", "run.dir=tuned"]
    _, printed = command("train", *arguments)
    assert "by token: encoder.embedding.tokens.weight (" in printed
    report = json.loads(Path("tuned/finetune.json").read_text())
    assert list(report["matched"]) == ["encoder.embedding.tokens.weight"]
    assert report["fresh"] == {}
