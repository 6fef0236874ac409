"""Training with trackers, by the commands that a user types."""

import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import TINY, Command

OPTIONS = [*TINY, "stop.max_updates=6", "log.every_updates=2", "run.dir='a run=1'"]


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("MLFLOW_"):
            monkeypatch.delenv(name)
    return tmp_path


def losses(run: Path) -> list[int]:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    (path,) = (run / "tensorboard").iterdir()
    events: Any = LegacyEventFileLoader(str(path)).Load()
    return [event.step for event in events for value in event.summary.value if value.tag == "train/loss"]


def test_a_run_is_followed_to_its_end(in_folder: Path, data: Path, command: Command) -> None:
    pytest.importorskip("tensorboard")
    tracker = ["tracker=[tensorboard]", "tracker.tensorboard.wait_seconds=100"]
    _, messages = command("train", *OPTIONS, f"task.data={data}", *tracker)
    run = in_folder / "a run=1"
    assert "tracking: tensorboard --logdir" in messages
    assert "not everything is sent" not in messages
    assert losses(run) == [2, 4, 6]
    lines = [(run / "final/test" / name).read_text().splitlines() for name in ("hypotheses.txt", "references.txt")]
    assert [len(each) for each in lines] == [15, 15]
    assert lines[1] == (data / "raw/test.de").read_text().splitlines()

    printed, _ = command("sync", "run='a run=1'")
    assert "has everything (0 new lines of the journal)" in printed
    assert losses(run) == [2, 4, 6]

    code = "import sys; from seqexp.sync import cli; cli(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "root=."], check=True, capture_output=True)


def test_a_server_that_is_down_changes_nothing(
    in_folder: Path, data: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    tracker = ["tracker=[mlflow]", f"tracker.mlflow.uri='http://ann:pw@{host}'", "tracker.mlflow.wait_seconds=100"]
    printed, messages = command("train", *OPTIONS, f"task.data={data}", *tracker)
    assert printed.splitlines()[-1].startswith("result: ")
    (line,) = [line for line in messages.splitlines() if "not everything is sent" in line]
    command_line = shlex.split(line.partition("if that is ended: ")[2])
    for path in (in_folder / "a run=1").rglob("*"):
        # the diff of a checkout that is being worked on may hold this very line
        assert path.is_dir() or path.name == "code.diff" or b"ann:pw" not in path.read_bytes()
    with pytest.raises(SystemExit) as left:
        command("sync", *command_line[3:])
    assert left.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: MLflow at http://***@{host}: ")
    assert error.endswith("lines of the journal are unsent")
