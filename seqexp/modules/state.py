"""What an incremental decoder remembers between steps.

Shapes: R rows (hypotheses), B sentences, T target length so far, S source length, D width of keys and values together.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class DecoderState(ABC):
    """Memory of the decoder for the rows of a batch (sentences x beams). Used where no gradient is wanted."""

    @abstractmethod
    def reorder(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        """Keep, in place, the rows numbered in `rows`, in that order, repeats allowed.

        Args:
            rows: int64 [new number of rows]; rows of one sentence stay adjacent and equally many.
            sentences: int64 [new number of sentences], the sentences that these rows belong to. None when all sentences
                stay, in their order. Saying so here spares the state from finding out, which would wait for the device.
        """


class GrowingCache:
    """Keys and values of the steps so far, appended to without copying what is there.

    The time axis is first, so that a step is one contiguous write and the filled part one contiguous block; a second
    buffer takes what `reorder` gathers, and the two change places, so that steps allocate nothing.
    """

    _FIRST_CAPACITY = 32

    def __init__(self) -> None:
        self.length = 0
        self._rows = 0
        self._width = 0
        self._buffer: Tensor | None = None
        self._spare: Tensor | None = None

    def append(self, new: Tensor) -> Tensor:
        """Add steps, [R, t, D], and return all so far, a view [R, T, D]."""
        num_rows, num_steps, width = new.shape
        if self.length == 0:
            self._rows, self._width = num_rows, width
        end = self.length + num_steps
        filled = self._reserve(end, new)
        filled[self.length : end] = new.transpose(0, 1)
        self.length = end
        return filled[:end].transpose(0, 1)

    def reorder(self, rows: Tensor) -> None:
        """Keep the rows numbered in `rows`, int64 [new R]."""
        if self.length == 0:
            return
        assert self._buffer is not None
        used = self._view(self._buffer, self._rows)[: self.length]
        capacity = self._buffer.numel() // (self._rows * self._width)
        size = capacity * len(rows) * self._width
        if self._spare is None or self._spare.numel() < size:
            self._spare = self._buffer.new_empty(size)
        target = self._view(self._spare, len(rows))[: self.length]
        torch.index_select(used, 1, rows, out=target)
        self._buffer, self._spare = self._spare, self._buffer
        self._rows = len(rows)

    def _view(self, buffer: Tensor, num_rows: int) -> Tensor:
        step = num_rows * self._width
        return buffer[: buffer.numel() // step * step].view(-1, num_rows, self._width)

    def _reserve(self, num_steps: int, like: Tensor) -> Tensor:
        """The buffer as [capacity, R, D] with room for `num_steps`."""
        old = None if self._buffer is None else self._view(self._buffer, self._rows)
        if old is not None and len(old) >= num_steps:
            return old
        capacity = max(self._FIRST_CAPACITY, 2 * num_steps)
        self._buffer = like.new_empty(capacity * self._rows * self._width)
        self._spare = None
        grown = self._view(self._buffer, self._rows)
        if old is not None:
            grown[: self.length] = old[: self.length]
        return grown
