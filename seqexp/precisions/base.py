"""Number formats of training."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seqexp.config.base import ComponentConfig


@dataclass
class PrecisionConfig(ComponentConfig):
    """Base of all precisions' configs."""


class Precision:
    """What a number format asks of an update. As it stands here: nothing, which is 32-bit floating point.

    The weights that `prepare` leaves in the model are those that are used and saved. The optimizer changes their
    masters, which are the same unless a format keeps copies of its own.
    """

    product_dtype: torch.dtype | None = None
    """In which products are computed, if that is not the format of the weights."""

    def __init__(self, config: PrecisionConfig, *, device: torch.device) -> None:
        """`device`: where the model computes."""
        self.device = device

    def prepare(self, model: nn.Module) -> None:
        """Give the model's weights their format, before the optimizer is made."""

    def masters(self, weights: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """What the optimizer changes in place of a model's trained weights, in their order. To be called once, when
        they are those that training will use."""
        return list(weights)

    def master(self, weight: nn.Parameter) -> nn.Parameter:
        """That of a weight."""
        return weight

    def autocast(self) -> AbstractContextManager[Any]:
        """What forward passes run in, those of validation too."""
        return nullcontext()

    def backward(self, loss_sum: Tensor, denominator: float) -> None:
        """Accumulate the gradient of a micro-batch.

        Args:
            loss_sum: summed over the micro-batch, a float32 scalar.
            denominator: what the gradient of the whole update is divided by, sooner or later: see `unscale`.
        """
        torch.autograd.backward(loss_sum / denominator)

    def unscale(self, parameters: Iterable[nn.Parameter], denominator: float) -> None:
        """After the update's last `backward`: make the masters' gradients those of the summed loss over `denominator`;
        the weights need not have theirs any more."""

    def succeeded(self) -> None:
        """Told after each update that was made, which has changed the masters: now the weights follow."""

    def overflowed(self) -> bool:
        """Told of an update whose loss or gradient is not finite.

        Returns:
            Whether the format was to blame and has adapted itself: then the update is skipped. Otherwise something is
            wrong with the model or the data.
        """
        return False

    def advice(self) -> str:
        """What besides model and data a loss that is not finite may come from; empty where there is nothing to say."""
        return ""

    def metrics(self) -> dict[str, float]:
        """What to show beside the training metrics."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON values."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
