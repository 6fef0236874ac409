"""A checkpoint's state into the objects that a step works with."""

import torch

from seqexp.checkpoint.store import Checkpoint
from seqexp.runtime.errors import UserError
from seqexp.training.progress import Progress
from seqexp.training.step import TrainStep


def restore(step: TrainStep, checkpoint: Checkpoint) -> Progress:
    """Give weights, optimizer and precision the state of a checkpoint.

    Returns:
        Where the training stood.

    Raises:
        UserError: the state does not fit this model or optimizer.
    """
    try:
        step.model.load_state_dict(checkpoint.weights())
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise UserError(
            f"{checkpoint.path}: its weights are those of another model: {first[0].strip()[:200]}"
        ) from error
    _restore_optimizer(step.optimizer, checkpoint)
    progress = Progress.from_state(checkpoint.progress())
    step.precision.load(progress.precision)
    return progress


def _restore_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """The options (betas, weight decay, ...) stay those of the config."""
    state = checkpoint.optimizer_state()
    own = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    if [set(group) - {"params"} for group in state["param_groups"]] != [set(group) for group in own]:
        raise UserError(f"{checkpoint.path}: its optimizer state is not one of {type(optimizer).__name__}")
    try:
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise UserError(
            f"{checkpoint.path}: its optimizer state has other parameters; `freeze` must be as it was there"
        ) from error
    for group, options in zip(optimizer.param_groups, own, strict=True):
        group.update(options)
