"""Several processes write a checkpoint together."""

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqexp.checkpoint.layout import MODEL, OPTIMIZER
from seqexp.checkpoint.store import CheckpointStore
from seqexp.checkpoint.tensors import Part, TensorSet
from seqexp.checkpoint.writing import Content, Writers
from seqexp.runtime.errors import UserError

from .conftest import MakeContent, MakeStore

MATRIX = torch.arange(12.0).reshape(6, 2)


def two_writers(wait_seconds: float = 30.0) -> list[Writers]:
    return [Writers(number, 2, "attempt1", wait_seconds) for number in range(2)]


def half_of(content: Content, number: int) -> Content:
    """What one of two processes holds of it: half of the rows, and the first all that is no matrix."""
    rows = MATRIX[:4] if number == 0 else MATRIX[4:]
    matrix = {"matrix": Part(rows + content.update, 4 * number, (6, 2))}
    model = content.tensors[MODEL]
    parts = {**matrix, **(model.parts if number == 0 else {})}
    moments = content.tensors[OPTIMIZER] if number == 0 else TensorSet({})
    return replace(content, tensors={MODEL: TensorSet(parts, model.aliases), OPTIMIZER: moments})


def directories(store: CheckpointStore) -> list[str]:
    return sorted(path.name for path in store.directory.iterdir())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_two_processes_write_one_checkpoint(
    make_store: MakeStore, make_content: MakeContent, asynchronous: bool
) -> None:
    stores = [make_store(asynchronous, writers) for writers in two_writers()]
    contents = [half_of(make_content(3, loss=1.0), number) for number in range(2)]
    second = threading.Thread(target=stores[1].save, args=(contents[1],))
    second.start()
    stores[0].save(contents[0])
    second.join()
    (checkpoint,) = stores[0].all()
    assert [[each.update for each in store.written()] for store in stores] == [[3], []]
    checkpoint.verify()
    assert directories(stores[0]) == ["update-00000003"]
    names = sorted(path.name for path in checkpoint.path.iterdir() if path.is_file())
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert names == ["checkpoint.json", "config.json", *shards, "model.index.json"]
    weights = checkpoint.weights()
    assert torch.equal(weights["matrix"], MATRIX + 3)
    assert weights["projection"] is weights["embedding"]
    assert torch.equal(checkpoint.tensors(MODEL).read("matrix", 3, 5), MATRIX[3:5] + 3)
    assert checkpoint.optimizer_state([]).tensors.read("bias//exp_avg").tolist() == [3.0, 3.0]


def test_a_process_may_be_ahead(make_store: MakeStore, make_content: MakeContent) -> None:
    """Also with the same update twice, as after a batch that was skipped, and while the first deletes what is old."""
    first, second = (make_store(False, writers, keep_last=1, keep_best=0) for writers in two_writers())
    for update in (1, 1, 2):
        second.save(half_of(make_content(update), 1))
    for update in (1, 1, 2):
        first.save(half_of(make_content(update), 0))
        (checkpoint,) = first.all()
        assert checkpoint.update == update
        checkpoint.verify()
    assert directories(first) == ["update-00000002"]


def test_what_a_killed_attempt_left_is_not_taken(make_store: MakeStore, make_content: MakeContent) -> None:
    second = make_store(False, Writers(1, 2, "attempt0"))
    second.save(half_of(make_content(1), 1))
    assert directories(second) == [".update-00000001.attempt0-0.tmp"]
    first = make_store(False, two_writers(wait_seconds=0.05)[0])
    with pytest.raises(UserError, match=r"cannot be saved: process-2\.json is not there after 0\.05 s"):
        first.save(half_of(make_content(1), 0))
    assert directories(first) == [".update-00000001.attempt0-0.tmp"]
    stores = [make_store(False, writers) for writers in two_writers()]
    for number in (1, 0):
        stores[number].save(half_of(make_content(1), number))
    assert directories(first) == ["update-00000001"]


def test_the_first_hears_of_another_ones_failure(
    make_store: MakeStore, make_content: MakeContent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    first, second = (make_store(False, writers) for writers in two_writers())
    with monkeypatch.context() as patch:
        patch.setattr("seqexp.checkpoint.writing.write_parts", disk_full)
        with pytest.raises(UserError, match="No space left on device"):
            second.save(half_of(make_content(1), 1))
    with pytest.raises(UserError, match=r"^[^\n]*cannot be saved: process-2\.json: .*No space left on device"):
        first.save(half_of(make_content(1), 0))
    assert directories(first) == []


PROCESS = """
import sys
from pathlib import Path
import torch
from seqexp.checkpoint.retention import Retention
from seqexp.checkpoint.store import CheckpointStore
from seqexp.checkpoint.tensors import Part, TensorSet
from seqexp.checkpoint.writing import Content, Writers

number, directory = int(sys.argv[1]), Path(sys.argv[2])
store = CheckpointStore(directory, Retention("loss", False), writers=Writers(number, 2, "one"), asynchronous=True)
for update in (1, 2, 3):
    rows = torch.full((1 + number, 2), float(10 * update + number))
    parts = {"matrix": Part(rows, number, (3, 2))}
    store.save(Content(update, {}, {}, {}, {"model": TensorSet(parts)}))
store.wait()
store.written()
"""


def test_two_real_processes(tmp_path: Path, make_store: MakeStore) -> None:
    store = make_store()
    command = [sys.executable, "-c", PROCESS]
    processes = [subprocess.Popen([*command, str(number), str(store.directory)]) for number in (1, 0)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    (checkpoint,) = store.all()
    checkpoint.verify()
    assert checkpoint.weights()["matrix"].tolist() == [[30.0, 30.0], [31.0, 31.0], [31.0, 31.0]]
    assert directories(store) == ["update-00000003"]
