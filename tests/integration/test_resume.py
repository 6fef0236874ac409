"""An interrupted run ends as if it had not been interrupted, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from seqexp.checkpoint.layout import open_checkpoint
from seqexp.runs.identity import digest
from seqexp.runs.journal import read_journal
from seqexp.training.step import Fault, TrainStep

from .conftest import TINY, Command

OPTIONS = [
    *TINY,
    "stop.max_updates=40",
    "batch.micro_batches=2",
    "validation.every.updates=9",
    "validation.scores=false",
    "checkpoint.every.updates=4",
    "log.every_updates=7",
]

EPOCHS = "lr_scheduler.epoch_scales=[0.2,1,0.5]"


class CrashError(Exception):
    """The process dies."""


def weights_of(run: Path) -> dict[str, str]:
    """Hash of the tensors of each checkpoint that the run kept: weights, optimizer state, a moving average."""
    infos = [json.loads(path.read_text()) for path in sorted(run.glob("checkpoints/*/checkpoint.json"))]
    return {
        f"{info['update']}": digest({n: f["sha256"] for n, f in info["files"].items() if n.endswith(".safetensors")})
        for info in infos
    }


def metrics_of(run: Path) -> dict[tuple[str, int], Any]:
    """The figures of the journal, those of a later attempt in place of those of an earlier one, without speeds."""
    found = {}
    for line in read_journal(run / "journal.jsonl"):
        if line["kind"] in ("train", "valid"):
            metrics = {name: value for name, value in line["metrics"].items() if name != "tokens_per_second"}
            found[line["kind"], line["update"]] = metrics
    return found


def die_at(update: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original = TrainStep.__call__

    def step(self: TrainStep, micro_batches: Any, number: int, *rest: Any) -> Fault | None:
        if number == update:
            raise CrashError
        return original(self, micro_batches, number, *rest)

    monkeypatch.setattr(TrainStep, "__call__", step)


@pytest.mark.parametrize(
    ("of", "extra"),
    [
        ("data", []),
        ("data", ["batch.num_workers=2"]),
        ("data", ["lr_scheduler=inverse_sqrt", "optimizer=adamw", "model.encoder.layerdrop=0.3"]),
        ("data", ["ema.decay=0.9", "ema.start_update=6", "ema.every_updates=2", "precision=bf16_memory_efficient"]),
        ("data", ["ema.decay=0.9", "ema.use_for_validation=false", "checkpoint.asynchronous=false"]),
        ("data", ["precision=bf16_master", "freeze=[encoder.layers.*]", "ema.decay=0.9"]),
        (
            "data",
            [
                "optimizer=muon",
                "optimizer.groups.rest.optimizer.no_decay=[norm,bias]",
                "optimizer.groups.rest.optimizer.lr=0.02",
                "+lr_scheduler@optimizer.groups.rest.lr_scheduler=reduce_lr_on_plateau",
                "optimizer.groups.rest.lr_scheduler.threshold=0.2",
            ],
        ),
        ("data", ["optimizer=schedule_free", "optimizer.weight_decay=0.1", "lr_scheduler=fixed", EPOCHS]),
        ("bpe_data", ["task.sampling.dropout=0.3"]),
        ("raw_data", ["task.sampling.dropout=0.3", "batch.num_workers=2"]),
    ],
    ids=[
        "default",
        "workers",
        "layerdrop",
        "ema",
        "ema-beside",
        "master",
        "composite-plateau",
        "schedule-free",
        "sampling",
        "raw-sampling-workers",
    ],
)
def test_crashes_change_nothing(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    of: str,
    extra: list[str],
) -> None:
    data: Path = request.getfixturevalue(of)
    has_one_rate = "optimizer=muon" not in extra
    options = [option for option in OPTIONS if has_one_rate or not option.startswith("optimizer.lr=")]
    command("train", *options, *extra, f"task.data={data}", f"run.dir={tmp_path / 'whole'}")
    arguments = [*options, *extra, f"task.data={data}", f"run.dir={tmp_path / 'broken'}"]
    for update in (2, 17, 18, 33):
        with monkeypatch.context() as patch:
            die_at(update, patch)
            with pytest.raises(CrashError):
                command("train", *arguments)
        assert not (tmp_path / "broken/result.json").exists()
    command("train", *arguments)
    assert weights_of(tmp_path / "broken") == weights_of(tmp_path / "whole")
    assert metrics_of(tmp_path / "broken") == metrics_of(tmp_path / "whole")


def test_raw_text_and_workers_change_nothing(
    tmp_path: Path, bpe_data: Path, raw_data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training on drawn subwords is the same, whoever encodes the text and however it is cut up."""
    options = [*OPTIONS, "stop.max_updates=20", "task.sampling.dropout=0.3"]
    command("train", *options, f"task.data={bpe_data}", f"run.dir={tmp_path / 'stores'}")
    monkeypatch.setattr("seqexp.data.text.MIN_CHUNK_BYTES", 1000)
    raw = [f"task.data={raw_data}", f"run.dir={tmp_path / 'raw'}", "batch.num_workers=2"]
    command("train", *options, *raw)
    assert weights_of(tmp_path / "raw") == weights_of(tmp_path / "stores")
    assert metrics_of(tmp_path / "raw") == metrics_of(tmp_path / "stores")
    command("train", *options, "task.sampling.dropout=0", f"task.data={bpe_data}", f"run.dir={tmp_path / 'plain'}")
    assert weights_of(tmp_path / "plain") != weights_of(tmp_path / "stores")


def test_the_number_of_micro_batches_per_update_does_not_change_the_loss_scale(
    tmp_path: Path, data: Path, command: Command
) -> None:
    """A batch of 8 sentences, and the same as two of 4, give the same gradient but for rounding."""
    losses = []
    for sentences, parts in ((8, 1), (4, 2)):
        run = tmp_path / str(parts)
        options = ["model.dropout=0", "batch.order=as_is", "batch.max_tokens=null", f"batch.max_sentences={sentences}"]
        more = [f"batch.micro_batches={parts}", f"task.data={data}", f"run.dir={run}", "stop.max_updates=6"]
        command("train", *TINY, "validation.scores=false", "log.every_updates=1", *options, *more)
        losses.append([m["loss"] for (kind, _), m in metrics_of(run).items() if kind == "train"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("asynchronous", ["true", "false"])
def test_kill_9_at_random_moments(tmp_path: Path, data: Path, command: Command, asynchronous: str) -> None:
    options = [*OPTIONS, f"task.data={data}", f"checkpoint.asynchronous={asynchronous}", "checkpoint.every.updates=1"]
    command("train", *options, f"run.dir={tmp_path / 'whole'}")
    broken = tmp_path / "broken"
    arguments = [sys.executable, "-m", "seqexp.train", *options, f"run.dir={broken}"]
    chance = random.Random(os.getpid())
    for _ in range(3):
        process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (broken / "journal.jsonl").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for path in broken.glob("checkpoints/update-*"):
            open_checkpoint(path).verify()
    subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True)
    assert weights_of(broken) == weights_of(tmp_path / "whole")
    assert not (broken / "lease.json").exists()
