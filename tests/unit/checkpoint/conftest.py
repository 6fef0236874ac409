"""Checkpoints of two small tensors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.checkpoint.layout import MODEL, OPTIMIZER, OPTIMIZER_SCALARS, PROGRESS
from seqexp.checkpoint.retention import Retention
from seqexp.checkpoint.store import CheckpointStore
from seqexp.checkpoint.tensors import Part, TensorSet
from seqexp.checkpoint.writing import Content

MakeStore = Callable[..., CheckpointStore]
MakeContent = Callable[..., Content]


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    def make(asynchronous: bool = False, writers: Any = None, **rules: Any) -> CheckpointStore:
        directory = tmp_path / "checkpoints"
        directory.mkdir(exist_ok=True)
        retention = Retention(**{"metric": "loss", "maximize": False, "keep_last": 2, "keep_best": 1, **rules})
        options = {"asynchronous": asynchronous, **({"writers": writers} if writers else {})}
        return CheckpointStore(directory, retention, **options)

    return make


@pytest.fixture
def make_content(tmp_path: Path) -> MakeContent:
    """The state at an update, whose tensors have the update's number as their values."""
    asset = tmp_path / "vocabulary.txt"
    asset.write_text("a 1\n")

    def make(update: int, **metrics: float) -> Content:
        shared = torch.full((2, 3), float(update))
        weights = {"embedding": shared, "projection": shared, "bias": torch.zeros(2)}
        moments = {"bias//exp_avg": Part.whole(torch.full((2,), float(update)))}
        return Content(
            update=update,
            metrics=metrics,
            config={"model": {"component": "model/x"}},
            task_files={"vocabulary.txt": asset},
            tensors={MODEL: TensorSet.of(weights), OPTIMIZER: TensorSet(moments)},
            documents={
                PROGRESS: {"update": update},
                OPTIMIZER_SCALARS: {"options": ["lr"], "groups": [], "state": {"bias": {"step": 1.0}, "embedding": {}}},
            },
        )

    return make
