"""What an incremental decoder remembers between steps.

Shapes: R rows (hypotheses), H heads of keys and values together, T target length so far, d width of a head.
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

    Each head's steps lie together, in the order in which attention reads them. `reorder`, which copies all of them
    anyway, leaves no gaps between heads but the room for one more step, so that memory is read from end to end: with
    gaps, the attention of one query alone takes up to twice as long. It copies into a second piece of memory, and the
    two change places, so that steps allocate nothing.
    """

    _FIRST_CAPACITY = 32

    def __init__(self) -> None:
        self.length = 0
        self._steps: Tensor | None = None  # [R, H, capacity, d], a view of the memory
        self._memory: Tensor | None = None
        self._spare: Tensor | None = None

    def append(self, new: Tensor) -> Tensor:
        """Add steps, [R, H, t, d], and return all so far, a view [R, H, T, d]."""
        end = self.length + new.shape[2]
        if self._steps is None or self._steps.shape[2] < end:
            num_rows, num_heads, _, size = new.shape
            grown = new.new_empty(num_rows, num_heads, self._capacity(end), size)
            if self._steps is not None:
                grown[:, :, : self.length] = self._steps[:, :, : self.length]
            self._steps, self._memory = grown, grown.view(-1)
        self._steps[:, :, self.length : end] = new
        self.length = end
        return self._steps[:, :, :end]

    def reorder(self, rows: Tensor) -> None:
        """Keep the rows numbered in `rows`, int64 [new R]."""
        if self._steps is None:
            return
        kept = self._steps[:, :, : self.length]
        shape = len(rows), kept.shape[1], self.length + 1, kept.shape[3]
        step = len(rows) * kept.shape[1] * kept.shape[3]
        needed = step * (self.length + 1)
        if self._spare is None or self._spare.numel() < needed:
            self._spare = kept.new_empty(step * self._capacity(self.length + 1))
        steps = self._spare[:needed].view(shape)
        torch.index_select(kept, 0, rows, out=steps[:, :, : self.length])
        self._steps, self._memory, self._spare = steps, self._spare, self._memory

    def _capacity(self, num_steps: int) -> int:
        """For how many steps memory is taken where `num_steps` are needed."""
        return max(self._FIRST_CAPACITY, 2 * num_steps)
