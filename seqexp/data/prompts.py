"""Beginnings of texts that a language model is to go on with."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqexp.data.batching import BatchLimits, EpochPlan, EqualSizes, Integers, Order
from seqexp.data.given import GivenSources
from seqexp.runtime.errors import UserError


class PromptSplit(GivenSources):
    """Prompts by number. Those of a batch are equally long, so that all end where the text goes on."""

    def __init__(self, lines: list[str], prompts: Sequence[Integers]) -> None:
        """`prompts`: indices of each line, after what a text begins with, without `</s>` at the end."""
        super().__init__(lines, prompts, pad=0)  # there is no padding

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return EqualSizes(self.sizes, limits)

    def whole(self, number: int, tokens: Tensor) -> Tensor:
        """A prompt and what a model has written after it, int64 [length]."""
        return torch.cat([torch.from_numpy(self.sentences[number].astype(np.int64)), tokens])

    def references(self, number: int) -> list[str]:
        raise UserError("prompts have no references")
