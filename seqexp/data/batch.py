"""What a model is given: batches of padded token indices."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Base of all batches. Tensors are moved together; the rest is counted on the CPU when the batch is made."""

    indices: Tensor
    """Number of each example in its split, int64 [B]."""
    num_targets: int
    """Target positions that count in the loss."""

    @property
    def num_sentences(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device) -> Self:
        """The same batch on a device; the copy of pinned memory does not wait."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        tensors: dict[str, Any] = {
            n: x.to(device, non_blocking=True) for n, x in moved.items() if isinstance(x, Tensor)
        }
        return replace(self, **tensors)


@dataclass(frozen=True)
class PairBatch(Batch):
    """Sentence pairs. S and T are the padded widths; padding has the vocabulary's `pad` index, on either side."""

    source_tokens: Tensor
    """int64 [B, S], each row ends in `</s>`."""
    source_lengths: Tensor
    """Tokens that are not padding, int64 [B]."""
    previous_tokens: Tensor | None = None
    """The decoder's input, int64 [B, T]: `</s>` and then the target without its last token. None without targets."""
    target_tokens: Tensor | None = None
    """int64 [B, T], each row ends in `</s>`."""
    prefix_tokens: Tensor | None = None
    """What hypotheses have to begin with, int64 [B, P], padded on the right. None: with anything."""
    constraints: Sequence[Sequence[Sequence[int]]] | None = None
    """For each sentence the phrases that hypotheses have to contain, if the search can see to that."""


@dataclass(frozen=True)
class TextBatch(Batch):
    """Sequences of text for language models. T is the padded width; padding has the vocabulary's `pad` index."""

    previous_tokens: Tensor
    """What stands before each target: `</s>`, or the last token of the text so far, and then the sequence without its
    last token, int64 [B, T]."""
    target_tokens: Tensor | None = None
    """The sequence itself, int64 [B, T]. None without targets."""
