"""A checkpoint's state into the objects that a step works with."""

from functools import partial

import torch
from torch import Tensor, nn

from seqexp.checkpoint.layout import MASTER, TRAINED, Checkpoint, Weights, of_rank
from seqexp.checkpoint.optimizer import load_optimizer, names_of
from seqexp.checkpoint.tensors import Tensors
from seqexp.distributed.base import Layout
from seqexp.runtime.errors import UserError
from seqexp.training.apart import rank_in, read_outer
from seqexp.training.ema import NoEMA
from seqexp.training.progress import Progress
from seqexp.training.step import TrainStep


def restore(step: TrainStep, ema: NoEMA, checkpoint: Checkpoint) -> Progress:
    """Give weights, optimizer, precision and moving average the state of a checkpoint.

    Whoever has written it, each process reads the rows that it holds.

    Returns:
        Where the training stood.

    Raises:
        UserError: the state does not fit this model, optimizer or layout, or there is none.
    """
    layout, names = step.layout, step.names
    rank = rank_in(checkpoint, layout)
    optimizer_state = checkpoint.optimizer_state(list(names.values()), rank)
    has_own_weights = rank is not None and checkpoint.has(of_rank(TRAINED, rank))
    master = of_rank(MASTER, rank if has_own_weights else None)
    trained = of_rank(TRAINED, rank) if has_own_weights else checkpoint.set_of(Weights.trained)
    of_weights = master if checkpoint.has(master) else trained
    load_weights(step.model, layout, checkpoint, of_weights)
    _load_masters(step, checkpoint.tensors(of_weights))

    def read(tensors: Tensors, name: str, parameter: nn.Parameter) -> Tensor:
        if tensors.shape(name) != tuple(parameter.shape):
            return tensors.read(name).clone()
        return layout.with_rows(parameter, partial(tensors.read, name)).clone()  # out of the file that is mapped

    load_optimizer(layout.own_optimizer(step.optimizer), names, optimizer_state, str(checkpoint.path), read)
    ema.load(checkpoint)
    progress = Progress.from_state(checkpoint.progress())
    layout.restored(
        progress.update,
        step.optimizer,
        read_outer(step, checkpoint),
        own_state=rank is not None,
        own_weights=has_own_weights,
    )
    step.precision.load(progress.precision)
    return progress


@torch.no_grad()
def _load_masters(step: TrainStep, saved: Tensors) -> None:
    """From the set that the weights were loaded from, which has all of them in the right shape."""
    for weight, name in names_of(step.model).items():
        master = step.precision.master(weight)
        if master is not weight:
            master.copy_(step.layout.with_rows(master, partial(saved.read, name)))


def load_weights(model: nn.Module, layout: Layout, checkpoint: Checkpoint, name_of_set: str) -> None:
    """Give a model the weights of one of a checkpoint's sets.

    Raises:
        UserError: they are those of another model.
    """
    saved, own = checkpoint.tensors(name_of_set), model.state_dict()
    state = {}
    for name in [*saved.names(), *saved.aliases]:
        fits = name in own and saved.shape(name) == tuple(own[name].shape)
        state[name] = layout.with_rows(own[name], partial(saved.read, name)) if fits else saved.read(name)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise UserError(
            f"{checkpoint.path}: its weights are those of another model: {first[0].strip()[:200]}"
        ) from error
