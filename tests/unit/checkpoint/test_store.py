import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.checkpoint.store import Checkpoint, CheckpointStore, open_checkpoint
from seqexp.runtime.errors import UserError


def make_store(directory: Path, **options: Any) -> CheckpointStore:
    directory.mkdir(exist_ok=True)
    return CheckpointStore(
        directory, **{"metric": "loss", "maximize": False, "keep_last": 2, "keep_best": 1, **options}
    )


def save(store: CheckpointStore, update: int, **metrics: float) -> Checkpoint:
    shared = torch.full((2, 3), float(update))
    asset = store.directory / "vocabulary.txt"
    asset.write_text("a 1\n")
    return store.save(
        update=update,
        metrics=metrics,
        config={"model": {"component": "model/x"}},
        weights={"embedding": shared, "projection": shared, "bias": torch.zeros(2)},
        task_files={"vocabulary.txt": asset},
        optimizer_state={"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]},
        progress={"update": update},
    )


def updates(store: CheckpointStore) -> list[int]:
    return [checkpoint.update for checkpoint in store.all()]


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    store = make_store(tmp_path / "checkpoints")
    save(store, 7, loss=1.5)
    checkpoint = store.last()
    assert checkpoint is not None
    weights = checkpoint.weights()
    assert weights.keys() == {"embedding", "projection", "bias"}
    assert weights["projection"] is weights["embedding"]
    assert torch.equal(weights["embedding"], torch.full((2, 3), 7.0))
    assert checkpoint.metrics == {"loss": 1.5}
    assert checkpoint.progress() == {"update": 7}
    assert checkpoint.optimizer_state()["param_groups"] == [{"lr": 0.1}]
    assert (checkpoint.path / "task/vocabulary.txt").read_text() == "a 1\n"


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    store = make_store(tmp_path / "checkpoints")
    for update, loss in enumerate([5.0, 1.0, 3.0, 2.0, 4.0], start=1):
        save(store, update, loss=loss)
    assert updates(store) == [2, 4, 5]
    best = store.best()
    assert best is not None
    assert best.update == 2


def test_best_is_the_greatest_where_the_metric_is_maximized(tmp_path: Path) -> None:
    store = make_store(tmp_path / "checkpoints", metric="bleu", maximize=True)
    for update, bleu in enumerate([10.0, 30.0, 30.0, 20.0], start=1):
        save(store, update, bleu=bleu)
    best = store.best()
    assert best is not None
    assert best.update == 2
    assert store.would_keep({"bleu": 31.0})
    assert not store.would_keep({"bleu": 30.0})
    assert not store.would_keep({})


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = make_store(tmp_path / "checkpoints")
    save(store, 1)
    with (save(store, 2).path / "model.safetensors").open("rb+") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    last = store.last()
    assert last is not None
    assert last.update == 1
    assert "damaged" in caplog.text


def test_a_failed_write_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(tmp_path / "checkpoints")
    save(store, 1)

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", disk_full)
    with pytest.raises(UserError, match=r"cannot be saved: No space left on device; the earlier checkpoints are whole"):
        save(store, 2)
    assert updates(store) == [1]
    assert [path.name for path in store.directory.iterdir() if path.is_dir()] == ["update-00000001"]


def test_what_a_crash_left_is_written_over(tmp_path: Path) -> None:
    store = make_store(tmp_path / "checkpoints")
    for name in (".update-00000001.tmp", ".update-00000099.tmp"):
        (store.directory / name / "training").mkdir(parents=True)
    save(store, 1)
    assert updates(store) == [1]
    assert [path.name for path in store.directory.iterdir() if path.is_dir()] == ["update-00000001"]


def test_unknown_versions_and_missing_files_are_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "checkpoints")
    path = save(store, 1).path
    info = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps({**info, "format_version": 99}))
    with pytest.raises(UserError, match="format version 99"):
        open_checkpoint(path)
    shutil.rmtree(path)
    with pytest.raises(UserError, match="no checkpoint"):
        open_checkpoint(path)
