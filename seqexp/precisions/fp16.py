"""Mixed precision with float16, whose small range asks for a scaled loss."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.precisions.base import Precision, PrecisionConfig
from seqexp.precisions.loss_scale import LossScale


@dataclass
class FP16Config(PrecisionConfig):
    """Products in float16; weights, gradients, optimizer and loss in 32 bits. The loss is multiplied by a scale, so
    that small gradients survive; an update whose gradient overflows is skipped, and the scale lowered."""

    _target_: str = "seqexp.precisions.fp16.FP16"
    initial_scale: float = 128.0
    """Of the summed loss, so that its size means the same whatever the batch's."""
    factor: float = 2.0
    """What the scale is multiplied or divided by."""
    window: int = 2000
    """Updates in a row without an overflow after which the scale is raised. (fairseq's default, 2^14 over processes and
    micro-batches, would make the result depend on how many machines there are.)"""
    tolerance: float = 0.0
    """Lower the scale only when at least this part of the updates since it last changed has overflowed."""
    lower_bound: float | None = None
    """The scale is not lowered below this; null: no such bound. An overflow there is only skipped."""
    min_scale: float = 1e-4
    """An overflow that would bring the scale down to this is no matter of scale any more: `non_finite` decides."""
    max_overflows_in_a_row: int = 100
    """Nor is one that follows so many; with `tolerance` or `lower_bound` nothing else would end the skipping."""

    def __post_init__(self) -> None:
        require(self.initial_scale > 0, "initial_scale", self.initial_scale, "a number above 0")
        require(self.factor > 1, "factor", self.factor, "a number above 1")
        require(self.window > 0, "window", self.window, "a count above 0")
        require(0 <= self.tolerance <= 1, "tolerance", self.tolerance, "a part, from 0 to 1")
        require(
            self.lower_bound is None or 0 < self.lower_bound <= self.initial_scale,
            "lower_bound",
            self.lower_bound,
            f"above 0 and at most initial_scale={self.initial_scale:g}, or null",
        )
        right = f"from 0 to below initial_scale={self.initial_scale:g}"
        require(0 <= self.min_scale < self.initial_scale, "min_scale", self.min_scale, right)
        require(self.max_overflows_in_a_row > 0, "max_overflows_in_a_row", self.max_overflows_in_a_row, "above 0")


class FP16(Precision):
    """Autocast to float16 with a dynamic loss scale."""

    product_dtype = torch.float16

    def __init__(self, config: FP16Config, *, device: torch.device) -> None:
        super().__init__(config, device=device)
        self.config = config
        self.loss_scale = LossScale(
            initial=config.initial_scale,
            factor=config.factor,
            window=config.window,
            tolerance=config.tolerance,
            lower_bound=config.lower_bound,
            floor=config.min_scale,
            max_overflows_in_a_row=config.max_overflows_in_a_row,
        )

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.float16)

    def backward(self, loss_sum: Tensor, denominator: float) -> None:
        # Divided afterwards, in 32 bits: the mean over a large batch has gradients too small for float16.
        torch.autograd.backward(loss_sum * self.loss_scale.value)

    @torch.no_grad()
    def unscale(self, parameters: Iterable[nn.Parameter], denominator: float) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if gradients:
            torch._foreach_mul_(gradients, 1 / (self.loss_scale.value * denominator))

    def succeeded(self) -> None:
        self.loss_scale.succeeded()

    def overflowed(self) -> bool:
        return self.loss_scale.overflowed()

    def advice(self) -> str:
        return (
            f"loss scale {self.loss_scale.value:g} does not help, and precision.min_scale={self.config.min_scale:g} is "
            "the least: lower optimizer.lr, warm up for longer, or use precision=bf16 or fp32"
        )

    def metrics(self) -> dict[str, float]:
        return {"loss_scale": self.loss_scale.value}

    def state(self) -> dict[str, Any]:
        return self.loss_scale.state()

    def load(self, state: dict[str, Any]) -> None:
        self.loss_scale.load(state)
