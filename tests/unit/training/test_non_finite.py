import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from seqexp.data.batch import PairBatch
from seqexp.precisions.fp16 import FP16Config
from seqexp.runtime.errors import UserError
from seqexp.training.non_finite import NonFiniteConfig, NonFiniteReports, Policy
from seqexp.training.progress import Progress
from seqexp.training.share import Share
from seqexp.training.step import TrainStep

from .conftest import LinesSplit, make_batch

MakeStep = Callable[..., TrainStep]


def reports(folder: Path, **options: object) -> NonFiniteReports:
    return NonFiniteReports(NonFiniteConfig(**options), folder, LinesSplit())  # type: ignore[arg-type]


def bad_step(make_step: MakeStep) -> TrainStep:
    step = make_step(FP16Config())
    step.model.output.register_forward_hook(lambda module, inputs, output: output * float("inf"))
    return step


def test_the_batch_is_saved(tmp_path: Path, make_step: MakeStep, batches: list[PairBatch]) -> None:
    progress = Progress(update=12, epoch=1, batch=4)
    line = reports(tmp_path)(bad_step(make_step), Share.whole(batches), progress)
    folder = tmp_path / "update-00000012-epoch-2-batch-4"
    assert line == (f"update 12: the output of output is not finite; examples 0, 1 of micro-batch 0, saved in {folder}")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    content = json.loads((folder / "batch.json").read_text())
    examples = [[example["id"] for example in part["examples"]] for part in content.pop("micro_batches")]
    assert examples == [[0, 1], [2]]
    assert content == {
        "update": 12,
        "epoch": 2,
        "first_micro_batch": 4,
        "not_finite": "the output of output",
        "in_micro_batch": 0,
        "loss_scale": 128.0,
    }
    tensors = load_file(folder / "batch.safetensors")
    assert tensors["0.source_tokens"].equal(batches[0].source_tokens)
    assert tensors["1.indices"].tolist() == [2]
    assert len(tensors) == 10


def test_the_text_is_saved_too(tmp_path: Path, make_step: MakeStep, batches: list[PairBatch]) -> None:
    reports(tmp_path)(bad_step(make_step), Share.whole(batches), Progress())
    (path,) = tmp_path.glob("*/batch.json")
    part = json.loads(path.read_text())["micro_batches"][1]
    assert part == {
        "num_targets": 2,
        "examples": [{"id": 2, "source": "source 2", "references": ["reference 2"]}],
    }


def test_saving_again_replaces(tmp_path: Path, make_step: MakeStep, batches: list[PairBatch]) -> None:
    first = reports(tmp_path)(bad_step(make_step), Share.whole(batches), Progress())
    (path,) = tmp_path.iterdir()
    (path / "batch.json").write_text("torn")
    assert reports(tmp_path)(bad_step(make_step), Share.whole(batches), Progress()) == first
    assert json.loads((path / "batch.json").read_text())["update"] == 0


def test_many_examples_are_counted(tmp_path: Path, make_step: MakeStep) -> None:
    batch = make_batch(*[[4, 2]] * 13)
    line = reports(tmp_path)(bad_step(make_step), Share.whole([batch]), Progress())
    assert "examples 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more of micro-batch 0" in line


def test_stop(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"^what; the same command with non_finite.policy=skip goes on without this batch$"
    ):
        reports(tmp_path).require_within_limits("what", Progress(num_non_finite=1), "")
    with pytest.raises(UserError, match=r"^what; lower it; the same command"):
        reports(tmp_path).require_within_limits("what", Progress(num_non_finite=1), "lower it")


@pytest.mark.parametrize("policy", [Policy.skip, Policy.rollback])
def test_limits(tmp_path: Path, policy: Policy) -> None:
    some = reports(tmp_path, policy=policy, max_in_a_row=2, max_in_total=7)
    some.require_within_limits("what", Progress(num_non_finite=7, num_non_finite_in_a_row=2), "")
    with pytest.raises(UserError, match=r"^what; it is more than non_finite.max_in_a_row=2 such batches$"):
        some.require_within_limits("what", Progress(num_non_finite=3, num_non_finite_in_a_row=3), "")
    with pytest.raises(UserError, match=r"^what; it is more than non_finite.max_in_total=7 such batches; lower it$"):
        some.require_within_limits("what", Progress(num_non_finite=8, num_non_finite_in_a_row=1), "lower it")


def test_limits_are_counts() -> None:
    with pytest.raises(ValueError, match="max_in_a_row=0"):
        NonFiniteConfig(max_in_a_row=0)
