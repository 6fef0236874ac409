"""Averages of checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqexp.checkpoint.average import average, write_average
from seqexp.checkpoint.layout import MODEL, Checkpoint, open_checkpoint
from seqexp.checkpoint.tensors import TensorSet
from seqexp.checkpoint.writing import write_checkpoint
from seqexp.runtime.errors import UserError

from .conftest import MakeContent


def test_numbers() -> None:
    """The examples of fairseq's tests."""
    doubles = average([torch.tensor([100.0], dtype=torch.float64), torch.tensor([1.0], dtype=torch.float64)])
    assert (doubles.tolist(), doubles.dtype) == ([50.5], torch.float64)
    integers = average([torch.tensor([7, 8, 9]), torch.tensor([2, 2, 2])])
    assert (integers.tolist(), integers.dtype) == ([4, 5, 5], torch.int64)
    assert average([torch.tensor(-3), torch.tensor(-4)]).item() == -4


def test_small_formats_are_added_up_in_64_bits() -> None:
    values = [torch.full((1,), 256.0, dtype=torch.bfloat16), *[torch.ones(1, dtype=torch.bfloat16)] * 255]
    found = average(values)
    assert found.dtype == torch.bfloat16
    assert found.item() == torch.tensor((256 + 255) / 256).bfloat16().item()
    largest = torch.full((1,), 60000.0, dtype=torch.float16)
    assert average([largest, largest, largest]).item() == largest.item()


@pytest.fixture
def checkpoints(tmp_path: Path, make_content: MakeContent) -> list[Checkpoint]:
    for update in (2, 5):
        write_checkpoint(tmp_path / f"run/checkpoints/update-{update}", make_content(update, loss=1.0))
    return [open_checkpoint(tmp_path / f"run/checkpoints/update-{update}") for update in (2, 5)]


def test_the_average_is_a_checkpoint_without_training_state(tmp_path: Path, checkpoints: list[Checkpoint]) -> None:
    write_average(checkpoints, tmp_path / "run/average/last-2")
    found = open_checkpoint(tmp_path / "run/average/last-2")
    found.verify()
    weights = found.weights()
    assert weights["embedding"].unique().tolist() == [3.5]
    assert weights["projection"] is weights["embedding"]
    assert (found.update, found.metrics, found.config()) == (5, {}, checkpoints[0].config())
    assert [each["update"] for each in found.info["average_of"]] == [2, 5]
    assert [each["content"] for each in found.info["average_of"]] == [each.content for each in checkpoints]
    assert (found.path / "task/vocabulary.txt").read_text() == "a 1\n"
    assert not (found.path / "training").exists()
    with pytest.raises(UserError, match=r"holds weights only: begin with them by checkpoint\.finetune_from"):
        found.optimizer_state([])


def test_other_models_and_vocabularies_are_refused(
    tmp_path: Path, checkpoints: list[Checkpoint], make_content: MakeContent
) -> None:
    content = make_content(9)
    other = TensorSet.of({"embedding": torch.zeros(2, 3), "bias": torch.zeros(3)})
    write_checkpoint(tmp_path / "model", replace(content, tensors={MODEL: other}))
    (tmp_path / "vocabulary.txt").write_text("b 1\n")
    write_checkpoint(tmp_path / "words", content)
    for name, message in (("model", "another model .*: bias$"), ("words", "vocabularies or text stages differ")):
        with pytest.raises(UserError, match=message):
            write_average([*checkpoints, open_checkpoint(tmp_path / name)], tmp_path / "average")
    assert not (tmp_path / "average").exists()
