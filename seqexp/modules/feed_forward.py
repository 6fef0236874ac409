"""The position-wise network of a transformer layer."""

import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.modules.activations import Activation, activation_function


class FeedForward(nn.Module):
    """Linear, activation, dropout, linear.

    Args:
        hidden_size: width of input and output.
        ffn_size: width between.
        activation: the non-linearity.
        activation_dropout: dropout after the non-linearity.
        gated: multiply the activation by a second projection of the input: SwiGLU with `silu` (Shazeer 2020, arXiv
            2002.05202).
        normalize_inner: a LayerNorm before the second linear (NormFormer, Shleifer et al. 2021, arXiv 2110.09456).
    """

    def __init__(
        self,
        hidden_size: int,
        ffn_size: int,
        *,
        activation: Activation = Activation.relu,
        activation_dropout: float = 0.0,
        gated: bool = False,
        normalize_inner: bool = False,
    ) -> None:
        super().__init__()
        self.activation = activation_function(activation)
        self.activation_dropout = activation_dropout
        self.inner = nn.Linear(hidden_size, ffn_size)
        self.gate = nn.Linear(hidden_size, ffn_size) if gated else None
        self.inner_norm = nn.LayerNorm(ffn_size) if normalize_inner else None
        self.outer = nn.Linear(ffn_size, hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden_size] to the same."""
        factor = None if self.gate is None else self.gate(x)
        x = self.activation(self.inner(x))
        x = x if factor is None else x * factor
        x = F.dropout(x, self.activation_dropout, self.training)
        if self.inner_norm is not None:
            x = self.inner_norm(x)
        output: Tensor = self.outer(x)
        return output
