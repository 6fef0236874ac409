"""Less memory, or less time, for the same update: what is done to the blocks of a model in training.

A model in evaluation mode, and a forward pass without gradients, run as if nothing had been done: what is validated and
generated does not depend on these options.
"""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from seqexp.config.base import require
from seqexp.models.base import Model
from seqexp.runtime.errors import UserError

logger = logging.getLogger(__name__)


class ActivationCheckpoint(StrEnum):
    """What of a block's activations is computed again in the backward pass instead of being kept."""

    none = "none"
    full = "full"
    """All: only the block's input is kept (Chen et al. 2016, arXiv 1604.06174)."""
    selective = "selective"
    """What is cheap to compute: the results of products and of attention are kept."""


@dataclass
class MemoryConfig:
    """Less memory, or less time, for the same update. The options change results by rounding at most, so an interrupted
    run may go on with others."""

    activation_checkpoint: ActivationCheckpoint = ActivationCheckpoint.none
    """What of the activations of a block (a layer of a transformer) is computed again in the backward pass: none, all
    (`full`), or what is cheap (`selective`: not the products, not attention)."""
    every_n_blocks: int = 1
    """Only every so many blocks are checkpointed."""
    activation_offload: bool = False
    """Activations of the blocks wait in the machine's memory for the backward pass, not in that of the GPU."""
    compile: bool = False
    """Compile the blocks with `torch.compile`: the first updates take minutes, the others may be faster. Few widths of
    batches help: `batch.num_buckets`, `batch.pad_to_multiple`. On a CPU it needs a C++ compiler."""

    def __post_init__(self) -> None:
        require(self.every_n_blocks > 0, "every_n_blocks", self.every_n_blocks, "a count above 0")
        checkpoints = self.activation_checkpoint is not ActivationCheckpoint.none
        right = "it needs memory.activation_checkpoint=full or selective"
        require(checkpoints or self.every_n_blocks == 1, "every_n_blocks", self.every_n_blocks, right)

    @property
    def is_on(self) -> bool:
        checkpoints = self.activation_checkpoint is not ActivationCheckpoint.none
        return checkpoints or self.activation_offload or self.compile


def change_blocks(model: Model, config: MemoryConfig, device: torch.device) -> None:
    """Make the blocks of a model do what the config says, in training. Names of weights do not change.

    Raises:
        ValueError: there are no blocks, or an option is not for this device.
    """
    if not config.is_on:
        return
    require_possible(model, config, device)
    for number, block in enumerate(model.blocks()):
        change_block(
            block,
            config.activation_checkpoint if number % config.every_n_blocks == 0 else ActivationCheckpoint.none,
            offload=config.activation_offload,
            compiled=config.compile,
        )


def require_possible(model: Model, config: MemoryConfig, device: torch.device) -> None:
    """
    Raises:
        ValueError: as `change_blocks`.
    """
    right = f"{type(model).__name__} does not say what its blocks are, so nothing can be done to them; leave it out"
    require(not config.is_on or bool(model.blocks()), "memory", "...", right)
    offloads = config.activation_offload
    require(not offloads or device.type != "cpu", "memory.activation_offload", True, "it is for GPUs")


def change_block(block: nn.Module, mode: ActivationCheckpoint, *, offload: bool, compiled: bool) -> None:
    """Replace the forward pass of one block in training."""
    run = _WAYS[mode]
    if compiled:
        run = functools.partial(_run_compiled, run)
    if offload:
        run = functools.partial(_run_offloaded, run)
    block._run_in_training = run  # type: ignore[assignment]
    # A bound method, which a copy of the block rebinds to itself.
    block.forward = MethodType(_forward, block)


def _forward(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    if block.training and torch.is_grad_enabled():
        return block._run_in_training(block, *args, **kwargs)  # type: ignore[operator]
    return _run(block, *args, **kwargs)


def _run(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The block's own forward pass."""
    return type(block).forward(block, *args, **kwargs)


def _run_recomputed(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return checkpoint(_run, block, *args, use_reentrant=False, **kwargs)


def _run_partly_recomputed(block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return checkpoint(_run, block, *args, use_reentrant=False, context_fn=_keeping_products, **kwargs)


_WAYS: dict[ActivationCheckpoint, Callable[..., Any]] = {
    ActivationCheckpoint.none: _run,
    ActivationCheckpoint.full: _run_recomputed,
    ActivationCheckpoint.selective: _run_partly_recomputed,
}


def _run_compiled(run: Callable[..., Any], block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """
    Raises:
        UserError: there is no compiler, or it fails. (Python that cannot be compiled runs as it is.)
    """
    try:
        return _compiled(run)(block, *args, **kwargs)
    except torch._dynamo.exc.TorchDynamoException as error:
        reason = next((line for line in reversed(str(error.__cause__ or error).splitlines()) if line.strip()), "")
        what = f"{type(block).__name__} cannot be compiled: {reason.strip()[:200]}"
        raise UserError(f"memory.compile=true: {what}; memory.compile=false goes on with the run") from error


@functools.cache
def _compiled(run: Callable[..., Any]) -> Callable[..., Any]:
    """One function for all blocks: those of the same kind share what is compiled.

    Random numbers are those of the uncompiled block: dropout is the same, or the results would not be.
    """
    return torch.compile(run, options={"fallback_random": True})


def _run_offloaded(run: Callable[..., Any], block: nn.Module, *args: Any, **kwargs: Any) -> Any:
    with torch.autograd.graph.save_on_cpu(pin_memory=torch.cuda.is_available()):
        return run(block, *args, **kwargs)


_ATEN = torch.ops.aten
_PRODUCTS = frozenset(
    getattr(_ATEN, name).default
    for name in (
        "mm",
        "addmm",
        "bmm",
        "baddbmm",
        "convolution",
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_cudnn_attention",
    )
    if hasattr(_ATEN, name)
)


def _keep_products(context: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operation in _PRODUCTS else CheckpointPolicy.PREFER_RECOMPUTE


def _keeping_products() -> Any:
    return create_selective_checkpoint_contexts(_keep_products)  # type: ignore[no-untyped-call]
