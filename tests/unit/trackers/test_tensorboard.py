from pathlib import Path
from typing import Any

import pytest

from seqexp.runs.directory import RunDirectory
from seqexp.runtime.errors import UserError
from seqexp.trackers.sender import FOLDER, Sender
from seqexp.trackers.tensorboard import TensorBoardConfig
from tests.unit.trackers.memory import finish, write_updates

pytest.importorskip("tensorboard")


def send(run: RunDirectory) -> None:
    (run.path / FOLDER).mkdir(exist_ok=True)
    with Sender("tensorboard", TensorBoardConfig(), run) as sender:
        sender.send()


def event_file(run: RunDirectory) -> Path:
    (path,) = (run.path / "tensorboard").iterdir()
    return path


def events(run: RunDirectory) -> list[Any]:
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return list(LegacyEventFileLoader(str(event_file(run))).Load())


def scalars(run: RunDirectory) -> list[tuple[str, int, float]]:
    values = [(value, event.step) for event in events(run) for value in event.summary.value]
    return [
        (value.tag, step, value.simple_value) for value, step in values if not value.metadata.plugin_data.plugin_name
    ]


def test_the_file_is_one_that_tensorboard_reads(run: RunDirectory) -> None:
    write_updates(run, 1, 2)
    finish(run)
    send(run)
    loss = [(step, value) for tag, step, value in scalars(run) if tag == "train/loss"]
    assert loss == [(1, 1.0), (2, 0.5)]
    assert events(run)[0].file_version == "brain.Event:2"
    texts = {
        value.tag: value.tensor.string_val[0].decode()
        for e in events(run)
        for value in e.summary.value
        if value.HasField("tensor")
    }
    assert "| model.dropout | 0.1 |" in texts["parameters"]
    assert "finished" in texts["status"]


def test_what_a_kill_left_half_written_is_there_once(run: RunDirectory) -> None:
    write_updates(run, 1, 2)
    send(run)
    expected = scalars(run)
    state = (run.path / FOLDER / "tensorboard.json").read_bytes()
    write_updates(run, 3)
    send(run)
    # as if the process had died before it could remember the last call, in the middle of the next
    (run.path / FOLDER / "tensorboard.json").write_bytes(state)
    with event_file(run).open("ab") as file:
        file.write(b"half a record")
    send(run)
    assert scalars(run) == [*expected, ("train/loss", 3, pytest.approx(1 / 3)), ("train/epoch", 3, 0.0)]


def test_a_lost_file_is_written_anew(run: RunDirectory) -> None:
    write_updates(run, 1, 2)
    send(run)
    expected = scalars(run)
    event_file(run).unlink()
    send(run)
    assert scalars(run) == expected


def test_without_the_package_it_says_what_to_install(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'seqexp\[tensorboard\]'"):
        send(run)
