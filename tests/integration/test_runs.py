"""What becomes of a run when it is started again, continued, stopped, moved, looked at."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seqexp.runs import provenance
from seqexp.training.step import TrainStep

from .conftest import TINY, Command
from .test_pipeline import read_result
from .test_resume import OPTIONS, CrashError, die_at, weights_of

SHORT = [*TINY, "validation.scores=false", "stop.max_updates=4"]


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failing(command: Command, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status of a command that does not end well, and what it printed on standard error."""
    with pytest.raises(SystemExit) as leaving:
        command(*arguments)
    return int(leaving.value.code or 0), capsys.readouterr().err


def send_signal_at(update: int, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    original = TrainStep.__call__

    def step(self: TrainStep, micro_batches: Any, current: int, *rest: Any) -> Any:
        if current == update:
            os.kill(os.getpid(), number)
        return original(self, micro_batches, current, *rest)

    monkeypatch.setattr(TrainStep, "__call__", step)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_same_command_goes_on(
    data: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    status: int,
) -> None:
    arguments = [*OPTIONS, f"task.data={data}", "checkpoint.every.updates=1000"]
    command("train", *arguments, "run.dir=whole")
    with monkeypatch.context() as patch:
        send_signal_at(10, number, patch)
        found, printed = failing(command, capsys, "train", *arguments, "run.dir=broken")
    assert found == status
    assert "stopped after update 11, which is saved; the same command goes on" in printed
    assert "Traceback" not in printed
    _, printed = command("train", *arguments, "run.dir=broken")
    assert "resuming after update 11" in printed
    assert weights_of(Path("broken")) == weights_of(Path("whole"))


def test_a_finished_run_is_continued_as_if_it_had_not_ended(data: Path, command: Command) -> None:
    options = [*SHORT[:-1], f"task.data={data}", "lr_scheduler=constant", "batch.micro_batches=2"]
    command("train", *options, "stop.max_updates=12", "run.dir=whole")
    command("train", *options, "stop.max_updates=5", "run.dir=first")
    continued = [*options, "stop.max_updates=12", "run.dir=second", "checkpoint.continue_from=first"]
    result = read_result(command("train", *continued)[0])
    assert weights_of(Path("second"))["12"] == weights_of(Path("whole"))["12"]
    assert result["parent"] == "first/checkpoints/update-00000005"
    assert json.loads(Path("second/provenance.json").read_text())["parent"]["checkpoint"] == result["parent"]


def test_continuing_takes_new_optimizer_options_and_an_interruption(
    data: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("train", *SHORT, f"task.data={data}", "run.dir=first")
    options = [*SHORT[:-1], f"task.data={data}", "stop.max_updates=9", "checkpoint.continue_from=first"]
    changed = [*options, "optimizer.weight_decay=0.1", "checkpoint.every.updates=2"]
    command("train", *changed, "run.dir=whole")
    command("train", *options, "run.dir=same")
    assert weights_of(Path("whole"))["9"] != weights_of(Path("same"))["9"]
    for update in (5, 7):
        with monkeypatch.context() as patch:
            die_at(update, patch)
            with pytest.raises(CrashError):
                command("train", *changed, "run.dir=broken")
    command("train", *changed, "run.dir=broken")
    assert weights_of(Path("broken")) == weights_of(Path("whole"))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([], "stop.max_updates=4 is reached by first/checkpoints/update-00000004 already: raise it to train longer"),
        (["stop.max_updates=9", "optimizer=sgd"], "its optimizer state is not one of SGD"),
        (["stop.max_updates=9", "model.encoder.num_layers=2"], "its weights are those of another model"),
        (
            ["stop.max_updates=9", "checkpoint.continue_from=nowhere"],
            "checkpoint.continue_from=nowhere is neither the directory of a run nor that of a checkpoint",
        ),
    ],
)
def test_what_cannot_be_continued(
    data: Path, command: Command, capsys: pytest.CaptureFixture[str], extra: list[str], message: str
) -> None:
    command("train", *SHORT, f"task.data={data}", "run.dir=first")
    arguments = [*SHORT, f"task.data={data}", "checkpoint.continue_from=first", "run.dir=second", *extra]
    status, printed = failing(command, capsys, "train", *arguments)
    assert status == 2
    assert message in printed


def test_other_code(
    data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*OPTIONS, f"task.data={data}"]
    with monkeypatch.context() as patch:
        die_at(20, patch)
        with pytest.raises(CrashError):
            command("train", *arguments)
    monkeypatch.setattr(provenance, "hash_of_code", lambda name: "changed")
    status, printed = failing(command, capsys, "train", *arguments)
    assert status == 2
    assert printed.count("\n") == 1
    assert "was started with other code (the code of seqexp): run.resume=force goes on" in printed
    _, printed = command("train", *arguments, "run.resume=force")
    assert "resuming after update 18" in printed
    (run,) = Path("outputs/default").iterdir()
    command("train", *arguments, "run.rerun=true")
    assert sorted(path.name for path in run.parent.iterdir()) == [run.name, f"{run.name}-2"]
    assert weights_of(run) == weights_of(Path(f"{run}-2"))


def test_data_that_moved_and_data_that_changed(
    data: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data, "here")
    run = Path(read_result(command("train", *SHORT, "task.data=here")[0])["checkpoint"]).parents[1]
    Path("here").rename("there")
    status, printed = failing(command, capsys, "generate", f"run={run}")
    assert (status, printed) == (2, "error: task.data=here is not there; say where it is now with task.data=\n")
    command("generate", f"run={run}", "task.data=there")
    assert "finished already" in command("train", *SHORT, "task.data=there")[0]

    manifest = json.loads(Path("there/manifest.json").read_text())
    del manifest["splits"]["test"]
    Path("there/manifest.json").write_text(json.dumps(manifest))
    _, printed = command("train", *SHORT, "task.data=there")
    assert f"{run} is a run of the same config on other data; this is a new run" in printed

    store = Path("there/train.en.bin")
    store.write_bytes(store.read_bytes()[:-2] + b"\1\0")
    status, printed = failing(command, capsys, "train", *SHORT, "task.data=there", "seed=2")
    assert status == 2
    assert "there/train.en.bin: the content differs from the manifest's checksum" in printed
    assert len(list(run.parent.iterdir())) == 2


def test_validate_gives_the_figures_of_the_training(data: Path, command: Command) -> None:
    arguments = [*TINY, f"task.data={data}", "stop.max_updates=20"]
    trained = read_result(command("train", *arguments)[0])
    run = Path(trained["checkpoint"]).parents[1]
    printed, _ = command("validate", f"run={run}", "splits=[valid,test]")
    found = read_result(printed)
    assert found["valid"] == pytest.approx(trained["valid"])
    assert found["test"] == pytest.approx(trained["test"])
    assert found["signatures"] == trained["signatures"]
    assert "bleu" not in read_result(command("validate", f"run={run}", "scores=false")[0])["valid"]
    last = read_result(command("validate", f"run={run}", "checkpoint=last", "generator.beam_size=3")[0])
    assert last["update"] == 20


def test_runs_are_listed_shown_and_deleted(
    data: Path, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SHORT, f"task.data={data}", "checkpoint.every.updates=1"]
    finished = Path(read_result(command("train", *arguments)[0])["checkpoint"]).parents[1]
    with monkeypatch.context() as patch:
        die_at(2, patch)
        with pytest.raises(CrashError):
            command("train", *arguments, "seed=2", "name=other")
    (failed,) = Path("outputs/other").iterdir()
    listed = command("runs")[0].splitlines()
    assert listed[0].split() == ["run", "status", "update", "metric", "best", "last", "written"]
    assert [line.split()[:4] for line in listed[1:]] == [
        [str(finished), "finished", "4", "loss"],
        [str(failed), "failed", "2", "loss"],
    ]
    assert len(command("runs", "name=other")[0].splitlines()) == 2
    shown = command("runs", "action=show", f"run={failed}")[0]
    assert "CrashError" in shown
    assert "seed=2" in shown
    assert "would delete" in command("runs", "action=clean", "status=[failed]")[0]
    assert failed.exists()
    command("runs", "action=clean", "status=[failed]", "confirm=true")
    assert finished.exists()
    assert not failed.exists()
    assert "no run is of that kind" in command("runs", "action=clean", "status=[failed]")[0]
    status, printed = failing(command, capsys, "runs", "action=clean", "confirm=true")
    assert (status, printed.count("\n")) == (2, 1)
    assert "action=clean needs the kinds of run" in printed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 800 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=800k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(
    data: Path,
    command: Command,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("seqexp.train.code_changes", lambda: "")  # however large the diff of this checkout is
    arguments = [*OPTIONS, f"task.data={data}", "checkpoint.every.updates=4", "validation.every.updates=100"]
    command("train", *arguments, "run.dir=whole")
    broken = small_disk / "run"
    status, printed = failing(command, capsys, "train", *arguments, f"run.dir={broken}")
    assert status == 2
    assert "cannot be saved: " in printed.splitlines()[-1]
    assert "No space left on device" in printed.splitlines()[-1]
    assert "the earlier checkpoints are whole, and the same command goes on from the newest" in printed
    kept = sorted(path.name for path in broken.glob("checkpoints/*"))
    assert kept
    assert all(name.startswith("update-") for name in kept), "nothing half-written"
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    _, printed = command("train", *arguments, f"run.dir={broken}")
    assert "resuming after update" in printed
    assert weights_of(broken) == weights_of(Path("whole"))


def test_a_file_system_that_is_read_only(
    data: Path, command: Command, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    status, printed = failing(command, capsys, "train", *SHORT, f"task.data={data}", f"run.root={small_disk}")
    assert status == 2
    assert printed.count("\n") == 1
    assert "Read-only file system; choose another with run.root= or run.dir=" in printed


def test_copies_of_a_tracker_are_no_runs(data: Path, command: Command) -> None:
    command("train", *SHORT, f"task.data={data}")
    copy = Path("outputs/mlflow-artifacts/default/1/artifacts")
    copy.mkdir(parents=True)
    for path in Path("outputs/default").glob("*/*.json*"):
        shutil.copy(path, copy)
    assert len(command("runs")[0].splitlines()) == 2


def test_splits_of_any_name_are_evaluated_at_the_end(text: Path, command: Command) -> None:
    prefixes = [f"corpus.train={text / 'train'}", f"corpus.valid={text / 'valid'}"]
    named = f"corpus.test={{numbers: {text / 'test'}}}"
    languages = ["corpus.source_lang=en", "corpus.target_lang=de", "destination=named", "num_workers=1"]
    command("preprocess", *prefixes, named, *languages, "subword.vocabulary_size=36")
    result = read_result(command("train", *SHORT, "task.data=named")[0])
    assert result["numbers"]["loss"] > 0


def test_an_empty_line_has_an_empty_translation(data: Path, command: Command) -> None:
    run = Path(read_result(command("train", *SHORT, f"task.data={data}")[0])["checkpoint"]).parents[1]
    Path("lines.txt").write_text("one two\n\n  \nthree\n")
    result = read_result(command("generate", f"run={run}", "input=lines.txt")[0])
    lines = Path(result["hypotheses"]).read_text().split("\n")
    assert len(lines) == 5
    assert lines[1] == lines[2] == ""
