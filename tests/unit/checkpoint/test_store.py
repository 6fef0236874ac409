"""The checkpoints of a run, written while the training waits and beside it."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqexp.checkpoint import writing
from seqexp.checkpoint.background import HostCopies
from seqexp.checkpoint.layout import MODEL, Checkpoint, Weights, open_checkpoint
from seqexp.checkpoint.store import CheckpointStore
from seqexp.checkpoint.writing import Content
from seqexp.runtime.errors import UserError

from .conftest import MakeContent, MakeStore

Save = Callable[..., Checkpoint]


@pytest.fixture(params=[False, True], ids=["synchronous", "asynchronous"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def save(make_content: MakeContent) -> Save:
    """Saves the state at an update, and waits for it."""

    def save(store: CheckpointStore, update: int, **metrics: float) -> Checkpoint:
        (checkpoint,) = save_and_ask(store, make_content(update, **metrics))
        return checkpoint

    return save


def save_and_ask(store: CheckpointStore, content: Content) -> list[Checkpoint]:
    store.save(content)
    store.wait()
    return store.written()


def updates(store: CheckpointStore) -> list[int]:
    return [checkpoint.update for checkpoint in store.all()]


def directories(store: CheckpointStore) -> list[str]:
    return sorted(path.name for path in store.directory.iterdir())


def test_what_was_saved_comes_back(make_store: MakeStore, save: Save, asynchronous: bool) -> None:
    store = make_store(asynchronous)
    save(store, 7, loss=1.5)
    checkpoint = store.last()
    assert checkpoint is not None
    weights = checkpoint.weights()
    assert weights.keys() == {"embedding", "projection", "bias"}
    assert weights["projection"] is weights["embedding"]
    assert torch.equal(weights["embedding"], torch.full((2, 3), 7.0))
    assert checkpoint.metrics == {"loss": 1.5}
    assert checkpoint.progress() == {"update": 7}
    state = checkpoint.optimizer_state([])
    assert state.scalars == {"bias": {"step": 1.0}, "embedding": {}}
    assert state.tensors.read("bias//exp_avg").tolist() == [7.0, 7.0]
    assert (checkpoint.path / "task/vocabulary.txt").read_text() == "a 1\n"
    assert not list(checkpoint.path.rglob("*.pt"))
    with pytest.raises(UserError, match=r"has no moving average: it was trained without ema\.decay$"):
        checkpoint.weights(Weights.averaged)


def test_both_ways_write_the_same(make_store: MakeStore, save: Save) -> None:
    one = save(make_store(), 7, loss=1.5).info
    shutil.rmtree(make_store().directory)
    assert save(make_store(asynchronous=True), 7, loss=1.5).info == one


def test_what_changes_after_saving_is_not_saved(make_store: MakeStore, make_content: MakeContent) -> None:
    store = make_store(asynchronous=True, keep_last=5)
    content = make_content(0)
    for update in (1, 2, 3):  # the buffers are those of the time before
        weight = content.tensors[MODEL].parts["embedding"].tensor
        weight.fill_(update)
        store.save(replace(content, update=update))
        weight.fill_(-1)
    assert [float(each.weights()["embedding"][0, 0]) for each in store.all()] == [1.0, 2.0, 3.0]


def test_the_buffers_are_kept(make_content: MakeContent) -> None:
    copies = HostCopies()
    places = [copies.of(make_content(update)).tensors[MODEL].parts["embedding"].tensor for update in (1, 2)]
    assert places[0].data_ptr() == places[1].data_ptr()
    assert float(places[1][0, 0]) == 2.0


def test_nothing_waits_for_a_write_but_who_asks(
    make_store: MakeStore, make_content: MakeContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    original = writing.merge_shares
    monkeypatch.setattr(writing, "merge_shares", lambda shares: (gate.wait(), original(shares))[1])
    store = make_store(asynchronous=True)
    store.save(make_content(1, loss=1.0))
    assert store.written() == []
    assert not list(store.directory.glob("update-*"))
    gate.set()
    assert not store.would_keep({"loss": 2.0})  # it has waited: the one that was being written is better
    assert [checkpoint.update for checkpoint in store.written()] == [1]
    assert store.written() == []


def test_the_newest_and_the_best_are_kept(make_store: MakeStore, save: Save, asynchronous: bool) -> None:
    store = make_store(asynchronous)
    for update, loss in enumerate([5.0, 1.0, 3.0, 2.0, 4.0], start=1):
        save(store, update, loss=loss)
    assert updates(store) == [2, 4, 5]
    best = store.best()
    assert best is not None
    assert best.update == 2


def test_the_best_three_are_kept_and_multiples(make_store: MakeStore, save: Save) -> None:
    store = make_store(keep_last=1, keep_best=3, keep_every_updates=4)
    for update, loss in enumerate([5.0, 1.0, 3.0, 6.0, 2.0, 2.5, 7.0, 8.0, 9.0], start=1):
        assert store.would_keep({"loss": loss}) == (update in (1, 2, 3, 5, 6))
        save(store, update, loss=loss)
    assert updates(store) == [2, 4, 5, 6, 8, 9]


def test_best_is_the_greatest_where_the_metric_is_maximized(make_store: MakeStore, save: Save) -> None:
    store = make_store(metric="bleu", maximize=True)
    for update, bleu in enumerate([10.0, 30.0, 30.0, 20.0], start=1):
        save(store, update, bleu=bleu)
    best = store.best()
    assert best is not None
    assert best.update == 2
    assert store.would_keep({"bleu": 31.0})
    assert not store.would_keep({"bleu": 30.0})
    assert not store.would_keep({})


def test_what_is_not_a_number_is_never_the_best(make_store: MakeStore, save: Save) -> None:
    for maximize in (False, True):
        store = make_store(maximize=maximize, keep_last=1)
        for update, loss in enumerate([float("nan"), 3.0, float("nan")], start=1):
            save(store, update, loss=loss)
        best = store.best()
        assert best is not None
        assert best.update == 2


def test_a_damaged_checkpoint_is_passed_over(
    make_store: MakeStore, save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    store = make_store()
    save(store, 1)
    with (save(store, 2).path / "model.safetensors").open("rb+") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    last = store.last()
    assert last is not None
    assert last.update == 1
    assert "damaged" in caplog.text


def test_a_failed_write_leaves_the_earlier_one(
    make_store: MakeStore, make_content: MakeContent, save: Save, asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(asynchronous)
    save(store, 1)

    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writing, "merge_shares", disk_full)
        message = r"cannot be saved: No space left on device; the earlier checkpoints are whole"
        with pytest.raises(UserError, match=message):
            save_and_ask(store, make_content(2))
    assert updates(store) == [1]
    assert directories(store) == ["update-00000001"]
    save(store, 3)  # it is told once
    assert updates(store) == [1, 3]


def test_who_has_lost_the_run_names_nothing(
    make_store: MakeStore, make_content: MakeContent, asynchronous: bool
) -> None:
    def lost() -> None:
        raise UserError("taken over")

    store = make_store(asynchronous)
    store.before_naming = lost
    with pytest.raises(UserError, match="taken over"):
        save_and_ask(store, make_content(1))
    assert directories(store) == []


def test_what_a_crash_left_is_written_over(make_store: MakeStore, save: Save) -> None:
    store = make_store()
    for name in (".update-00000001.tmp", ".update-00000099.tmp"):
        (store.directory / name / "training").mkdir(parents=True)
    save(store, 1)
    assert updates(store) == [1]
    assert directories(store) == ["update-00000001"]


def test_unknown_versions_and_missing_files_are_refused(make_store: MakeStore, save: Save) -> None:
    path = save(make_store(), 1).path
    info = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps({**info, "format_version": 99}))
    with pytest.raises(UserError, match="format version 99"):
        open_checkpoint(path)
    shutil.rmtree(path)
    with pytest.raises(UserError, match="no checkpoint"):
        open_checkpoint(Path(path))
