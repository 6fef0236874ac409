"""The average of several checkpoints' weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqexp.checkpoint.layout import MODEL, Checkpoint
from seqexp.checkpoint.tensors import Part, TensorFiles, TensorSet
from seqexp.checkpoint.writing import Content, write_checkpoint
from seqexp.runtime.errors import UserError


def write_average(checkpoints: Sequence[Checkpoint], output: Path) -> Checkpoint:
    """Write the average of checkpoints of one model as a checkpoint, which has no training state and no metrics.

    All but the weights is that of the first. Numbers are added up in 64 bits, and counts divided with the rest dropped,
    as fairseq does.

    Args:
        output: the directory to write.

    Raises:
        UserError: a checkpoint is damaged, or they are not of one model and vocabulary.
    """
    first = checkpoints[0]
    for checkpoint in checkpoints:
        checkpoint.verify()
        if _text_of(checkpoint) != _text_of(first):
            raise UserError(f"{checkpoint.path}: its vocabularies or text stages differ from those of {first.path}")
    sets = [checkpoint.tensors(MODEL) for checkpoint in checkpoints]
    for checkpoint, tensors in zip(checkpoints, sets, strict=True):
        _require_same(tensors, sets[0], checkpoint, first)
    averages = {name: Part.whole(average([tensors.read(name) for tensors in sets])) for name in sets[0].names()}
    content = Content(
        update=max(checkpoint.update for checkpoint in checkpoints),
        metrics={},
        config=first.config(),
        task_files={name: first.path / "task" / name for name in _task_files(first)},
        tensors={MODEL: TensorSet(averages, sets[0].aliases)},
        facts={"average_of": [_described(checkpoint) for checkpoint in checkpoints]},
    )
    written = write_checkpoint(output, content)
    assert written is not None
    return written


def average(tensors: Sequence[Tensor]) -> Tensor:
    """The mean of tensors of one shape, in the format of the first; of integers, rounded down."""
    if not tensors[0].is_floating_point():
        return torch.stack(list(tensors)).sum(0).div(len(tensors), rounding_mode="floor").to(tensors[0].dtype)
    total = torch.zeros_like(tensors[0], dtype=torch.float64)
    for tensor in tensors:
        total += tensor
    return (total / len(tensors)).to(tensors[0].dtype)


def _require_same(tensors: TensorFiles, others: TensorFiles, checkpoint: Checkpoint, first: Checkpoint) -> None:
    for name in sorted({*tensors.names(), *others.names()}):
        both = name in tensors.entries and name in others.entries
        if not both or tensors.shape(name) != others.shape(name):
            raise UserError(f"{checkpoint.path}: its weights are of another model than those of {first.path}: {name}")


def _task_files(checkpoint: Checkpoint) -> list[str]:
    return [name.removeprefix("task/") for name in checkpoint.info["files"] if name.startswith("task/")]


def _text_of(checkpoint: Checkpoint) -> dict[str, Any]:
    """Hashes of vocabularies and text stages; the manifest holds counts of the data besides."""
    files = {name: checkpoint.info["files"][f"task/{name}"]["sha256"] for name in _task_files(checkpoint)}
    files.pop("manifest.json", None)
    return files


def _described(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"update": checkpoint.update, "content": checkpoint.content, "path": str(checkpoint.path)}
