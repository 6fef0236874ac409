"""Text that somebody gives to a trained model, as a split: to be translated, or to be scored with its translation."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order
from seqexp.data.collate import shift_right
from seqexp.data.split import Split
from seqexp.runtime.errors import UserError


class GivenSources:
    """Sentences that somebody wants translated."""

    has_references = False

    def __init__(self, lines: list[str], sentences: Sequence[Integers], pad: int) -> None:
        """`sentences`: indices of each line, ending in `</s>`."""
        self.lines, self.sentences, self.pad = lines, sentences, pad
        self.sizes = np.array([len(sentence) for sentence in sentences], dtype=np.int32)

    def __len__(self) -> int:
        return len(self.lines)

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> Split:
        return self

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return EpochPlan(self.sizes, None, limits, order=order, seed=seed, epoch=epoch)

    def collate(self, numbers: Integers) -> PairBatch:
        return PairBatch(
            indices=torch.as_tensor(np.asarray(numbers, dtype=np.int64)),
            num_targets=0,
            source_tokens=_padded([self.sentences[number] for number in numbers], self.pad),
            source_lengths=torch.tensor([len(self.sentences[number]) for number in numbers]),
        )

    def source_text(self, number: int) -> str:
        return self.lines[number]

    def references(self, number: int) -> list[str]:
        raise UserError("sentences that are to be translated have no references")


class GivenPairs(GivenSources):
    """Sentences with the translations of them that somebody wants scored."""

    has_references = True

    def __init__(
        self,
        lines: list[str],
        sentences: Sequence[Integers],
        pad: int,
        target_lines: list[str],
        targets: Sequence[Integers],
    ) -> None:
        """`targets`: indices of each of `target_lines`, ending in `</s>`."""
        super().__init__(lines, sentences, pad)
        self.target_lines, self.targets = target_lines, targets
        self.target_sizes = np.array([len(target) for target in targets], dtype=np.int32)

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return EpochPlan(self.sizes, self.target_sizes, limits, order=order, seed=seed, epoch=epoch)

    def collate(self, numbers: Integers) -> PairBatch:
        sizes = self.target_sizes[numbers].astype(np.int64)
        targets = _padded([self.targets[number] for number in numbers], self.pad)
        eos = int(self.targets[numbers[0]][-1])
        previous = shift_right(targets.numpy(), sizes, eos, self.pad)
        return dataclasses.replace(
            super().collate(numbers),
            num_targets=int(sizes.sum()),
            previous_tokens=torch.from_numpy(previous),
            target_tokens=targets,
        )

    def references(self, number: int) -> list[str]:
        return [self.target_lines[number]]


def _padded(sentences: Sequence[Integers], pad: int) -> Tensor:
    """int64 [B, T]"""
    rows = [torch.as_tensor(np.asarray(sentence, dtype=np.int64)) for sentence in sentences]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
