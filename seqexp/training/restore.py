"""A checkpoint's state into the objects that a step works with."""

from collections.abc import Mapping, Sequence
from typing import Any

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
    saved = state["param_groups"]
    others = UserError(
        f"{checkpoint.path}: its optimizer state is for other parameters or groups of them; `freeze`, "
        "`optimizer.no_decay` and the groups of a composite must be as they were there"
    )
    if _layout(saved) != _layout(own):
        raise others
    if [set(group) - {"params"} for group in saved] != [set(group) for group in own]:
        raise UserError(f"{checkpoint.path}: its optimizer state is not one of {type(optimizer).__name__}")
    try:
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise others from error
    for group, options in zip(optimizer.param_groups, own, strict=True):
        group.update(options)


def _layout(groups: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Which parameters are in which group."""
    return [(group.get("name", ""), group.get("names", [])) for group in groups]
