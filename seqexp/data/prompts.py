"""Beginnings of texts that a language model is to go on with."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.data.batching import BatchLimits, EpochPlan, EqualSizes, Integers, Order
from seqexp.data.split import Split
from seqexp.runtime.errors import UserError


class PromptSplit:
    """Prompts by number. Those of a batch are equally long, so that all end where the text goes on."""

    has_references = False

    def __init__(self, lines: list[str], prompts: Sequence[Integers]) -> None:
        """`prompts`: indices of each line, after what a text begins with, without `</s>` at the end."""
        self.lines, self.prompts = lines, prompts
        self.sizes = np.array([len(prompt) for prompt in prompts], dtype=np.int32)

    def __len__(self) -> int:
        return len(self.lines)

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> Split:
        return self

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return EqualSizes(self.sizes, limits)

    def collate(self, numbers: Integers) -> PairBatch:
        tokens = torch.from_numpy(np.stack([self.prompts[number] for number in numbers]).astype(np.int64))
        return PairBatch(
            indices=torch.as_tensor(np.asarray(numbers, dtype=np.int64)),
            num_targets=0,
            source_tokens=tokens,
            source_lengths=torch.full((len(tokens),), tokens.shape[1]),
        )

    def whole(self, number: int, tokens: Tensor) -> Tensor:
        """A prompt and what a model has written after it, int64 [length]."""
        return torch.cat([torch.from_numpy(self.prompts[number].astype(np.int64)), tokens])

    def source_text(self, number: int) -> str:
        return self.lines[number]

    def references(self, number: int) -> list[str]:
        raise UserError("prompts have no references")
