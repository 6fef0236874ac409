"""Sentence pairs to padded batches."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray

from seqexp.data.batch import PairBatch
from seqexp.data.batching import Integers
from seqexp.data.pairs import PairSplit


class PaddingSide(StrEnum):
    right = "right"
    left = "left"


@dataclass(frozen=True)
class PairCollater:
    """Makes a batch of pairs given by number; it can be sent to worker processes."""

    split: PairSplit
    source_padding: PaddingSide = PaddingSide.right
    target_padding: PaddingSide = PaddingSide.right

    def __call__(self, numbers: Integers) -> PairBatch:
        """The batch of these pairs, in this order."""
        split = self.split
        source, source_sizes = split.source.gather(
            numbers,
            split.source_vocabulary.pad,
            left=self.source_padding is PaddingSide.left,
            max_size=split.max_source_size,
            width=split.source_widths(split.source_sizes[numbers]).max(initial=0),
        )
        left = self.target_padding is PaddingSide.left
        pad, eos = split.target_vocabulary.pad, split.target_vocabulary.eos
        target, target_sizes = split.target.gather(
            numbers,
            pad,
            left=left,
            max_size=split.max_target_size,
            width=split.target_widths(split.target_sizes[numbers]).max(initial=0),
        )
        return PairBatch(
            indices=torch.from_numpy(np.array(numbers, dtype=np.int64)),
            num_targets=int(target_sizes.sum()),
            source_tokens=torch.from_numpy(source),
            source_lengths=torch.from_numpy(source_sizes),
            previous_tokens=torch.from_numpy(shift_right(target, target_sizes, eos, pad, left=left)),
            target_tokens=torch.from_numpy(target),
        )


def shift_right(
    target: NDArray[np.int64], sizes: NDArray[np.int64], eos: int, pad: int, *, left: bool = False
) -> NDArray[np.int64]:
    """What a decoder has seen before each target token: `</s>` and then the target without its last token.

    Args:
        target: padded tokens, [B, T], padding on the `left` or on the right.
        sizes: tokens of each row that are not padding, [B].
    """
    width = target.shape[1]
    rows = np.arange(len(target))
    previous = np.empty_like(target)
    previous[:, 1:] = target[:, :-1]
    first = width - sizes if left else np.zeros_like(sizes)
    if not left:
        columns = np.arange(width)
        previous[columns >= sizes[:, None]] = pad
    else:
        previous[:, 0] = pad
    present = sizes > 0
    previous[rows[present], first[present]] = eos
    return previous
