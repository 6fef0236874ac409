"""A split whose hypotheses have to begin with given words or contain given phrases."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from seqexp.data.batch import Batch, PairBatch
from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order
from seqexp.data.split import Split


class GuidedSplit:
    """The examples of another split, with what is asked of their hypotheses.

    Args:
        split: gives batches of pairs.
        prefixes: for each example, indices of what its hypotheses begin with, perhaps none.
        constraints: for each example, indices of the phrases that its hypotheses contain.
        pad: index of padding.
    """

    def __init__(
        self,
        split: Split,
        prefixes: Sequence[Integers] | None,
        constraints: Sequence[Sequence[Integers]] | None,
        pad: int,
    ) -> None:
        self.split, self.prefixes, self.constraints, self.pad = split, prefixes, constraints, pad
        self.has_references = split.has_references

    def __len__(self) -> int:
        return len(self.split)

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> Split:
        return GuidedSplit(
            self.split.epoch(seed, epoch, limits, num_workers), self.prefixes, self.constraints, self.pad
        )

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return self.split.plan(limits, order=order, seed=seed, epoch=epoch)

    def collate(self, numbers: Integers) -> Batch:
        batch = self.split.collate(numbers)
        assert isinstance(batch, PairBatch)
        if self.prefixes is not None:
            rows = [torch.as_tensor(np.asarray(self.prefixes[number], dtype=np.int64)) for number in numbers]
            padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.pad)
            batch = replace(batch, prefix_tokens=padded)
        if self.constraints is not None:
            phrases = [[list(map(int, phrase)) for phrase in self.constraints[number]] for number in numbers]
            batch = replace(batch, constraints=phrases)
        return batch

    def source_text(self, number: int) -> str:
        return self.split.source_text(number)

    def references(self, number: int) -> list[str]:
        return self.split.references(number)
