"""A checkpoint's state into the objects that a step works with."""

from seqexp.checkpoint.layout import Checkpoint, Weights
from seqexp.checkpoint.optimizer import load_optimizer, names_of
from seqexp.runtime.errors import UserError
from seqexp.training.ema import NoEMA
from seqexp.training.progress import Progress
from seqexp.training.step import TrainStep


def restore(step: TrainStep, ema: NoEMA, checkpoint: Checkpoint) -> Progress:
    """Give weights, optimizer, precision and moving average the state of a checkpoint.

    Returns:
        Where the training stood.

    Raises:
        UserError: the state does not fit this model or optimizer, or there is none.
    """
    names = names_of(step.model)
    optimizer_state = checkpoint.optimizer_state(list(names.values()))
    try:
        step.model.load_state_dict(checkpoint.weights(Weights.trained))
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise UserError(
            f"{checkpoint.path}: its weights are those of another model: {first[0].strip()[:200]}"
        ) from error
    load_optimizer(step.optimizer, names, optimizer_state, str(checkpoint.path))
    ema.load(checkpoint)
    progress = Progress.from_state(checkpoint.progress())
    step.precision.load(progress.precision)
    return progress
