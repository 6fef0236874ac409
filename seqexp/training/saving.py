"""What a checkpoint holds of the objects that a step works with."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from seqexp.checkpoint.layout import MASTER, OPTIMIZER, OPTIMIZER_SCALARS, PROGRESS
from seqexp.checkpoint.optimizer import optimizer_content
from seqexp.checkpoint.tensors import Part, TensorSet
from seqexp.checkpoint.writing import Content
from seqexp.distributed.base import Layout
from seqexp.training.apart import outer_sets, scalars_of_ranks, sets_of_rank
from seqexp.training.ema import NoEMA
from seqexp.training.progress import Progress
from seqexp.training.step import TrainStep


def saved_content(
    step: TrainStep,
    ema: NoEMA,
    progress: Progress,
    *,
    metrics: Mapping[str, float],
    config: Mapping[str, Any],
    task_files: Mapping[str, Path],
) -> Content:
    """What this process gives to a checkpoint; all processes call it."""
    layout, model = step.layout, step.model
    part = partial(own_part, layout)
    own = layout.own_optimizer(step.optimizer)
    scalars, parts = optimizer_content(own, step.names, part)
    state = TensorSet(parts)
    sets = ema.tensor_sets(TensorSet.of(model.state_dict(), part))
    weights = model.state_dict(keep_vars=True)
    masters = {name: step.master(weight) for name, weight in weights.items()}
    if any(masters[name] is not weight for name, weight in weights.items()):
        sets[MASTER] = TensorSet.of(masters, part)
    sets |= outer_sets(step)
    if layout.makes_own_updates:
        documents = scalars_of_ranks(layout, scalars)
        sets = sets_of_rank(step, {**sets, OPTIMIZER: state})
    else:
        documents = {OPTIMIZER_SCALARS: _merged(layout.world.gather(scalars)) if layout.all_write else scalars}
        if not layout.world.is_first:
            sets = {name: _without_whole(tensors) for name, tensors in sets.items()}
            # Of an optimizer that has all parameters, such as row and column means; another's state is nowhere else.
            state = _without_whole(state) if own is step.optimizer else state
        sets[OPTIMIZER] = state
    return Content(
        update=progress.update,
        metrics=metrics,
        config=config,
        task_files=task_files,
        tensors=sets,
        documents={PROGRESS: progress.state(), **documents},
        facts={"ranks": layout.world.size} if layout.has_own_state else {},
    )


def _without_whole(tensors: TensorSet) -> TensorSet:
    """Without what one process holds all of, as then every one does, and the first writes it."""
    return TensorSet({name: part for name, part in tensors.parts.items() if part.tensor.shape != part.full_shape})


def _merged(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What all processes say of an optimizer, each of the parameters whose state it holds."""
    merged = documents[0]
    for other in documents[1:]:
        merged["state"].update(other["state"])
        for group, more in zip(merged["groups"], other["groups"], strict=True):
            group["parameters"] = list(dict.fromkeys([*group["parameters"], *more["parameters"]]))
    return merged


def own_part(layout: Layout, tensor: Tensor) -> Part:
    """What this process holds of a tensor of weights or of the optimizer's state."""
    rows, first = layout.rows(tensor.detach())
    return Part(rows, first, tuple(tensor.shape))
