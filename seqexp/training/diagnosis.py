"""Where a loss or gradient that is not finite came from: the update once more, with an eye on every module."""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from seqexp.training.share import Share, Totals
from seqexp.training.step import TrainStep


@dataclass(frozen=True)
class Origin:
    """What is not finite, first of all."""

    what: str
    """E.g. `the output of decoder.layers.0.norm`."""
    micro_batch: int | None
    """Number in the update of the micro-batch in which it is so; None where that cannot be said of one."""


def find_origin(step: TrainStep, share: Share, update: int, totals: Totals | None = None) -> Origin:
    """Run forward and backward again as in the update, with the same random numbers; no gradient is left behind.

    Each process does so for its own share, without the others.
    """
    with step.layout.evaluated(step.model) as model:
        return _find_origin(dataclasses.replace(step, model=model), share, update, totals)


def _find_origin(step: TrainStep, share: Share, update: int, totals: Totals | None) -> Origin:
    for name, parameter in step.model.named_parameters():
        if not _finite(parameter):
            return Origin(f"parameter {name}, before this update,", None)
    denominator = step.denominator(step.counted(share, totals))
    for number, batch in zip(share.numbers, share.batches, strict=True):
        step.model.zero_grad(set_to_none=True)
        with _watched(step) as found, step.layout.micro_batch(step.wrapped or step.model, is_last=False):
            step.accumulate(batch, update, number, denominator)
        step.model.zero_grad(set_to_none=True)
        if found:
            return Origin(found[0], number)
    return Origin("the gradient's norm or the sum over micro-batches, but none of them alone,", None)


@contextlib.contextmanager
def _watched(step: TrainStep) -> Iterator[list[str]]:
    """What is not finite, in the order in which it arises: outputs, then gradients from the loss down."""
    found: list[str] = []
    modules = {name or "the model": module for name, module in step.model.named_modules()}
    modules |= {f"criterion.{name}".rstrip("."): module for name, module in step.criterion.named_modules()}
    handles = [m.register_forward_hook(partial(_check_output, found, name)) for name, m in modules.items()]
    handles += [
        _on_gradient(parameter, found, f"the gradient of {name}")
        for name, parameter in step.model.named_parameters()
        if parameter.requires_grad
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _check_output(found: list[str], name: str, module: nn.Module, inputs: Any, output: Any) -> None:
    for tensor in _tensors(output):
        _check(found, f"the output of {name}", tensor)
        if tensor.requires_grad:
            _on_gradient(tensor, found, f"the gradient of the output of {name}")


def _on_gradient(tensor: Tensor, found: list[str], what: str) -> RemovableHandle:
    handle: RemovableHandle = tensor.register_hook(partial(_check, found, what))  # type: ignore[no-untyped-call]
    return handle


def _check(found: list[str], what: str, tensor: Tensor) -> None:
    if not _finite(tensor):
        found.append(what)


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.detach().isfinite().all())


def _tensors(value: Any) -> Iterator[Tensor]:
    """The floating-point tensors in what a module returns."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
        return
    if dataclasses.is_dataclass(value):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
