"""Embeddings of positions.

Row 0 of a table belongs to the first token of a sentence, on whichever side the padding is.
Shapes: B sentences, T length, D width.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.config.base import OptionError

FIRST_SINUSOID = 2
"""The angle's factor at the first token: fairseq's padding index + 1, so that weights trained there carry over."""


class PositionEmbedding(nn.Module, ABC):
    """A table of `max_positions` rows.

    Args:
        max_positions: rows of the table.
        option: name of the option that sets `max_positions`, for the error message.
    """

    def __init__(self, max_positions: int, option: str) -> None:
        super().__init__()
        self.max_positions = max_positions
        self.option = option

    @property
    @abstractmethod
    def table(self) -> Tensor:
        """[max_positions, D]"""

    def forward(self, length: int, padding_mask: Tensor | None = None, start: int = 0) -> Tensor:
        """Embeddings of `length` tokens of which the first is at position `start`.

        Args:
            length: T.
            padding_mask: True at padding, bool [B, T]; None where there is none before a token (padding after the
                tokens needs no mask). What padding gets is of no meaning.
            start: number of earlier tokens; with a padding mask 0.

        Returns:
            [1, T, D], or [B, T, D] with a padding mask.

        Raises:
            OptionError: the sequence is longer than the table.
        """
        if start + length > self.max_positions:
            raise OptionError(
                f"{self.option}={self.max_positions} is too small for a sequence of {start + length} tokens: "
                "raise it or leave out longer sequences"
            )
        if padding_mask is None:
            return self.table[start : start + length].unsqueeze(0)
        positions = (~padding_mask).cumsum(dim=1).sub_(1).clamp_(min=0)
        return F.embedding(positions, self.table)


class LearnedPositions(PositionEmbedding):
    """Learned embeddings, N(0, D^-0.5) at first.

    fairseq's tables begin with two rows that no token uses; these do not.
    """

    def __init__(self, max_positions: int, hidden_size: int, option: str) -> None:
        super().__init__(max_positions, option)
        self.weight = nn.Parameter(torch.empty(max_positions, hidden_size))
        nn.init.normal_(self.weight, std=hidden_size**-0.5)

    @property
    def table(self) -> Tensor:
        return self.weight


class SinusoidalPositions(PositionEmbedding):
    """Sines and cosines (Vaswani et al. 2017), computed, not saved.

    The first half of the row of position p is sin(p f_i), the second cos(p f_i), with f_i = 10000^(-i / (D/2 - 1)), as
    in tensor2tensor and fairseq (the paper interleaves the two and divides by D/2). An odd D ends in a zero.
    """

    def __init__(self, max_positions: int, hidden_size: int, option: str) -> None:
        super().__init__(max_positions, option)
        self.register_buffer("_table", sinusoids(max_positions, hidden_size), persistent=False)

    @property
    def table(self) -> Tensor:
        table = self._table
        assert isinstance(table, Tensor)
        return table


def sinusoids(num_positions: int, hidden_size: int) -> Tensor:
    """The table of `SinusoidalPositions`, float32 [num_positions, hidden_size]."""
    half = hidden_size // 2
    frequencies = torch.exp(torch.arange(half, dtype=torch.float32) * -(math.log(10000) / max(half - 1, 1)))
    positions = torch.arange(FIRST_SINUSOID, FIRST_SINUSOID + num_positions, dtype=torch.float32)
    angles = positions[:, None] * frequencies[None, :]
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, hidden_size % 2))
