"""Processes that make updates of their own: the average of their weights, and what each of them saves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from seqexp.checkpoint.layout import MODEL, OPTIMIZER, OPTIMIZER_SCALARS, OUTER, TRAINED, Checkpoint, of_rank
from seqexp.checkpoint.optimizer import tensor_name
from seqexp.checkpoint.tensors import Part, TensorSet
from seqexp.distributed.base import Layout
from seqexp.runtime.errors import UserError
from seqexp.training.config import TrainConfig
from seqexp.training.step import TrainStep


def require_apart_is_possible(config: TrainConfig, num_processes: int) -> None:
    """
    Raises:
        UserError: processes cannot make updates of their own with these options.
    """
    number = config.batch.micro_batches
    if number < num_processes:
        raise UserError(
            f"batch.micro_batches={number} is less than the {num_processes} processes, of which each makes updates of "
            f"its own: give a multiple of {num_processes}"
        )
    if config.ema.decay is not None:
        raise UserError(
            f"ema.decay={config.ema.decay:g} averages weights over updates, and distributed=local_sgd over processes: "
            "give ema.decay=null"
        )


@contextmanager
def average_in_place(step: TrainStep) -> Iterator[None]:
    """Context in which the model has the average of all processes' weights; all enter and leave it together."""
    if not step.layout.has_own_weights:
        yield
        return
    averages, state = _averages(step), step.model.state_dict()
    own = {name: state[name].clone() for name in averages}
    _give(state, averages)
    try:
        yield
    finally:
        _give(state, own)


def sets_of_rank(step: TrainStep, sets: Mapping[str, TensorSet]) -> dict[str, TensorSet]:
    """What a process saves that may have weights and optimizer state of its own: those under its own names, and the
    first the average and what all have in common. All processes call it.

    Args:
        sets: what it would save, were it alone.
    """
    layout = step.layout
    if not layout.has_own_state:
        return dict(sets) if layout.world.is_first else {}
    rank = layout.world.rank
    is_own = {name: layout.has_own_weights or name == OPTIMIZER for name in sets if name != OUTER}
    names = {name: of_rank(TRAINED if name == MODEL else name, rank) for name, own in is_own.items() if own}
    own = {names[name]: sets[name] for name in names}
    averages = _averages(step) if layout.has_own_weights else {}
    if not layout.world.is_first:
        return own
    model = sets[MODEL]
    parts = {name: replace(part, tensor=averages.get(name, part.tensor)) for name, part in model.parts.items()}
    common = {name: tensors for name, tensors in sets.items() if name not in names}
    return {**common, **own, MODEL: TensorSet(parts, model.aliases)}


def scalars_of_ranks(layout: Layout, scalars: dict[str, Any]) -> dict[str, Any]:
    """The numbers of all processes' optimizers, by the files in which they are saved."""
    if not layout.has_own_state:
        return {OPTIMIZER_SCALARS: scalars}
    return {of_rank(OPTIMIZER_SCALARS, rank): each for rank, each in enumerate(layout.world.gather(scalars))}


def rank_in(checkpoint: Checkpoint, layout: Layout) -> int | None:
    """As which process this one goes on from a checkpoint, None where it holds the same for all.

    Raises:
        UserError: it holds what other processes than those of this layout had. Their weights could be averaged; an
            optimizer state that goes with the average there is none.
    """
    number = checkpoint.num_ranks
    if number is None:
        return None
    if layout.makes_own_updates and layout.world.size == number:
        return layout.world.rank
    raise UserError(
        f"{checkpoint.path} holds the optimizer states of {number} processes that trained apart: go on with "
        f"distributed=local_sgd and {number} processes, or begin with the average of their weights, by "
        "checkpoint.finetune_from"
    )


def outer_sets(step: TrainStep) -> dict[str, TensorSet]:
    """What the layout keeps for each parameter, as a set if there is anything."""
    state = step.layout.shared_state(step.optimizer)
    names = step.names
    tensors = {
        tensor_name(names[parameter], key): Part.whole(tensor)
        for parameter, tensors in state.items()
        for key, tensor in tensors.items()
    }
    return {OUTER: TensorSet(tensors)} if tensors else {}


def read_outer(step: TrainStep, checkpoint: Checkpoint) -> dict[nn.Parameter, dict[str, Tensor]]:
    """What `outer_sets` gave."""
    if not checkpoint.has(OUTER):
        return {}
    saved, found = checkpoint.tensors(OUTER), dict[str, dict[str, Tensor]]()
    for tensor in saved.names():
        name, key = tensor.split("//")
        found.setdefault(name, {})[key] = saved.read(tensor)
    return {parameter: found[name] for parameter, name in step.names.items()}


def _averages(step: TrainStep) -> dict[str, Tensor]:
    """Of the masters, in the format of the weights, by name, each once. Counts are no numbers to average."""
    state = step.model.state_dict(keep_vars=True)
    names = [name for name in TensorSet.of(step.model.state_dict()).parts if state[name].is_floating_point()]
    means = step.layout.average([step.master(state[name]) for name in names])
    return {name: mean.to(state[name].dtype) for name, mean in zip(names, means, strict=True)}


@torch.no_grad()
def _give(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        state[name].copy_(tensor)
