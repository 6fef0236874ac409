"""What becomes of an update or a validation that does not fit into memory: a line that says what was too large, and
what to change."""

import contextlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from seqexp.data.batch import Batch
from seqexp.runtime.errors import ProcessError
from seqexp.training.config import TrainConfig
from seqexp.training.display import named_examples
from seqexp.training.memory import ActivationCheckpoint
from seqexp.training.progress import Progress
from seqexp.training.share import Share
from seqexp.training.step import TrainStep


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left. torch has a class for a GPU's only."""
    allocation = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return allocation or isinstance(error, torch.OutOfMemoryError | MemoryError)


@contextlib.contextmanager
def out_of_memory_told(step: TrainStep, share: Share, progress: Progress, config: TrainConfig) -> Iterator[None]:
    """Around an update. Where it runs out of memory, its gradients and tensors are freed, as other jobs of this process
    may go on.

    Raises:
        ProcessError: it did.
    """
    begun: list[Batch] = []

    def note(criterion: nn.Module, inputs: tuple[Any, ...]) -> None:
        begun.append(inputs[1])

    hook = step.criterion.register_forward_pre_hook(note)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = f"{_where(begun, share, progress)} does not fit into {memory_of(step.device)}: {_advice(config)}"
        free_memory(error, step.device)
    else:
        return
    finally:
        hook.remove()
    begun.clear()
    step.optimizer.zero_grad(set_to_none=True)
    raise ProcessError(message)


@contextlib.contextmanager
def fitting_into_memory(device: torch.device, what: Callable[[], str], advice: str) -> Iterator[None]:
    """Around other work than updates. Where it runs out of memory, its tensors are freed.

    Args:
        what: says what was too large.
        advice: what to change.

    Raises:
        ProcessError: it did.
    """
    try:
        yield
        return
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = f"{what()} does not fit into {memory_of(device)}: {advice}"
        free_memory(error, device)
    raise ProcessError(message)


def free_memory(error: BaseException, device: torch.device) -> None:
    """Give up the tensors of the functions that an error has left."""
    traceback.clear_frames(error.__traceback__)
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _where(begun: Sequence[Batch], share: Share, progress: Progress) -> str:
    """E.g. `update 7 (epoch 1, micro-batch 2 of 4: 16 sentences x 40 source x 38 target tokens, examples 3, 17)`."""
    place = f"update {progress.update}: epoch {progress.epoch + 1}"
    if not begun:
        return place
    number = f"{share.numbers[len(begun) - 1] + 1} of {share.num_micro_batches}"
    return f"{place}, micro-batch {number} ({named_batch(begun[-1])})"


def named_batch(batch: Batch) -> str:
    """E.g. `2 sentences x 40 source x 38 target tokens; examples 3, 17`."""
    return f"{shape_of(batch)}; {named_examples([batch])}"


def shape_of(batch: Batch) -> str:
    """E.g. `16 sentences x 40 source x 38 target tokens`."""
    widths = [f"{batch.num_sentences} sentences"]
    for field in fields(batch):
        tensor, name = getattr(batch, field.name), field.name.removesuffix("_tokens")
        if isinstance(tensor, Tensor) and tensor.dim() == 2 and name not in (field.name, "previous"):
            widths.append(f"{tensor.shape[1]} {name}")
    return " x ".join(widths) + (" tokens" if len(widths) > 1 else "")


def memory_of(device: torch.device) -> str:
    return "the GPU's memory" if device.type == "cuda" else "memory"


def evaluation_advice(config: TrainConfig) -> str:
    """What to change where a validation does not fit; it is part of what the run is."""
    limit, beam_size = _limit(config), getattr(config.generator, "beam_size", 1)
    advice = f"a new run may have {limit}"
    if config.validation.scores:
        advice += f", generator.beam_size below {beam_size}" if beam_size > 1 else ""
        advice += ", or validation.scores=false"
    return advice


def _advice(config: TrainConfig) -> str:
    """What to change, for all that is not done already. The first of them keep the run what it is."""
    memory, batch = config.memory, config.batch
    goes_on = []
    if memory.activation_checkpoint is not ActivationCheckpoint.full:
        goes_on.append("memory.activation_checkpoint=full")
    if getattr(config.criterion, "chunk_size", None) == 0:
        goes_on.append("criterion.chunk_size=null")
    advice = [f"the same command with {' '.join(goes_on)} goes on"] if goes_on else []
    advice.append(f"a new run may have {_limit(config)}")
    if not batch.fit:
        advice[-1] += ", or batch.fit=true"
    return "; ".join(advice)


def _limit(config: TrainConfig) -> str:
    name = "max_tokens" if config.batch.max_tokens is not None else "max_sentences"
    return f"batch.{name} below {getattr(config.batch, name)}"
