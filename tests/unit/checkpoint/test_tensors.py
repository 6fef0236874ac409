"""Tensors in parts."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from seqexp.checkpoint.tensors import (
    Part,
    TensorFiles,
    TensorSet,
    TensorsInMemory,
    index_of_file,
    merge_shares,
    write_parts,
)
from seqexp.runtime.errors import UserError

WHOLE = {
    "matrix": torch.arange(15.0).reshape(5, 3),
    "half": torch.arange(4, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "nothing": torch.zeros(0, 2),
}


def split(tensors: dict[str, Tensor], *bounds: int) -> list[dict[str, Part]]:
    """What processes hold whose rows end before `bounds`; the first one has the scalars."""
    shares: list[dict[str, Part]] = []
    for number, (start, stop) in enumerate(zip((0, *bounds[:-1]), bounds, strict=True)):
        share = {}
        for name, tensor in tensors.items():
            if tensor.ndim:
                last = len(tensor) if number == len(bounds) - 1 else stop
                share[name] = Part(tensor[start:last], min(start, len(tensor)), tuple(tensor.shape))
            elif not number:
                share[name] = Part.whole(tensor)
        shares.append(share)
    return shares


def written(folder: Path, shares: list[dict[str, Part]]) -> TensorFiles:
    merged = merge_shares(write_parts(folder / f"{number}.safetensors", share) for number, share in enumerate(shares))
    # As the index comes back from its file.
    return TensorFiles(folder, json.loads(json.dumps({"tensors": merged, "aliases": {"tied": "matrix"}})))


@pytest.mark.parametrize("bounds", [(5,), (2, 5), (1, 4, 5), (4, 5, 6)])
def test_parts_are_put_together(tmp_path: Path, bounds: tuple[int, ...]) -> None:
    files = written(tmp_path, split(WHOLE, *bounds))
    found = files.read_all()
    assert found.keys() == {*WHOLE, "tied"}
    for name, tensor in WHOLE.items():
        assert files.shape(name) == tuple(tensor.shape)
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert found["tied"] is found["matrix"]


@pytest.mark.parametrize("start", range(5))
@pytest.mark.parametrize("bounds", [(5,), (2, 5), (1, 4, 5)])
def test_another_number_of_processes_reads_its_rows(tmp_path: Path, bounds: tuple[int, ...], start: int) -> None:
    files = written(tmp_path, split(WHOLE, *bounds))
    for stop in range(start + 1, 6):
        assert torch.equal(files.read("matrix", start, stop), WHOLE["matrix"][start:stop])
        assert torch.equal(files.read("tied", start, stop), WHOLE["matrix"][start:stop])


def test_only_the_files_that_hold_the_rows_are_read(tmp_path: Path) -> None:
    files = written(tmp_path, split(WHOLE, 2, 5))
    (tmp_path / "1.safetensors").unlink()
    assert torch.equal(files.read("matrix", 0, 2), WHOLE["matrix"][:2])
    with pytest.raises(UserError, match=r"1\.safetensors: cannot be read"):
        files.read("matrix", 1, 3)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [([(0, 2), (3, 5)], "rows 2 to 3 are missing"), ([(0, 3), (2, 5)], "there twice"), ([(0, 4)], "4 rows of 5")],
)
def test_parts_must_cover_the_whole_once(tmp_path: Path, offsets: list[tuple[int, int]], message: str) -> None:
    tensor = WHOLE["matrix"]
    shares = [{"matrix": Part(tensor[start:stop], start, (5, 3))} for start, stop in offsets]
    with pytest.raises(ValueError, match=message):
        written(tmp_path, shares)


def test_processes_must_agree(tmp_path: Path) -> None:
    tensor = WHOLE["matrix"]
    shares = [{"matrix": Part(tensor[:2], 0, (5, 3))}, {"matrix": Part(tensor[2:].half(), 2, (5, 3))}]
    with pytest.raises(ValueError, match="disagree"):
        written(tmp_path, shares)


def test_tied_tensors_are_kept_once() -> None:
    shared = torch.ones(2, 3)
    tensors = TensorSet.of(
        {"a": shared, "b": shared, "transposed": shared.t(), "empty": torch.ones(0), "e": torch.ones(0)}
    )
    assert tensors.aliases == {"b": "a"}
    assert list(tensors.parts) == ["a", "transposed", "empty", "e"]


def test_a_file_without_an_index(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, 3), "n": torch.tensor(1)}, tmp_path / "model.safetensors")
    files = TensorFiles(tmp_path, index_of_file(tmp_path / "model.safetensors", {"b": "a"}))
    assert files.read_all().keys() == {"a", "n", "b"}
    assert files.read("b", 1, 2).shape == (1, 3)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"model\.safetensors: cannot be read"):
        index_of_file(tmp_path / "model.safetensors", {})


def test_in_memory() -> None:
    tensors = TensorsInMemory(WHOLE)
    assert tensors.names() == list(WHOLE)
    assert tensors.shape("matrix") == (5, 3)
    assert torch.equal(tensors.read("matrix", 1, 3), WHOLE["matrix"][1:3])
    assert tensors.read("count").item() == 7
