"""A batch on disk, for a person or a program to look at: tensors, numbers and raw text."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from seqexp.data.batch import Batch
from seqexp.data.split import Split
from seqexp.runtime.files import write_json


def dump_batches(
    path: Path, batches: Sequence[Batch], numbers: Sequence[int], split: Split, facts: Mapping[str, Any]
) -> None:
    """Write a directory; one that is there already is replaced. `numbers` are those of the micro-batches.

    path/batch.safetensors    tensors as `<number of the micro-batch>.<field>`
    path/batch.json           `facts`, and for each micro-batch its targets and its examples with their raw text
    """
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    tensors = {
        f"{n}.{name}": tensor
        for n, batch in zip(numbers, batches, strict=True)
        for name, tensor in _tensors(batch).items()
    }
    save_file(tensors, temporary / "batch.safetensors")
    micro_batches = [
        {"num_targets": batch.num_targets, "examples": [_example(split, number) for number in batch.indices.tolist()]}
        for batch in batches
    ]
    write_json(temporary / "batch.json", {**facts, "micro_batches": micro_batches})
    shutil.rmtree(path, ignore_errors=True)
    temporary.rename(path)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    # Copies: a batch may use one tensor twice, which safetensors refuses.
    return {name: value.cpu().clone().contiguous() for name, value in values.items() if isinstance(value, Tensor)}


def _example(split: Split, number: int) -> dict[str, Any]:
    example: dict[str, Any] = {"id": number, "source": split.source_text(number)}
    if split.has_references:
        example["references"] = split.references(number)
    return example
