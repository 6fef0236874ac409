"""Element-wise non-linearities, by name."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor


class Activation(StrEnum):
    relu = "relu"
    relu_squared = "relu_squared"
    """Primer, So et al. 2021 (arXiv 2109.08668)."""
    gelu = "gelu"
    """x * Phi(x), Hendrycks and Gimpel 2016 (arXiv 1606.08415)."""
    gelu_tanh = "gelu_tanh"
    """The approximation of gelu by tanh."""
    silu = "silu"
    """x * sigmoid(x), also called swish."""
    tanh = "tanh"
    linear = "linear"
    """No non-linearity."""


def activation_function(activation: Activation) -> Callable[[Tensor], Tensor]:
    """The function of that name, of any shape."""
    return _FUNCTIONS[activation]


def _relu_squared(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _identity(x: Tensor) -> Tensor:
    return x


_FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    Activation.relu: F.relu,
    Activation.relu_squared: _relu_squared,
    Activation.gelu: F.gelu,
    Activation.gelu_tanh: partial(F.gelu, approximate="tanh"),
    Activation.silu: F.silu,
    Activation.tanh: torch.tanh,
    Activation.linear: _identity,
}
