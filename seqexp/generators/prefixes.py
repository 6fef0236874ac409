"""Which words hypotheses begin with, and which may follow a prefix.

Shapes: B sentences of a step, R rows = B x beams, P width of the given prefixes, V vocabulary.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch

AllowedTokens = Callable[[int, list[int]], Iterable[int]]
"""Given the number of an example in its split and the words of a prefix (indices, without the start symbol), the words
that may follow."""


def given_prefixes(batch: PairBatch, size: int, *, eos: int, pad: int) -> Tensor | None:
    """What hypotheses have to begin with: `batch.prefix_tokens`, or the first `size` words of the references. int64
    [B, P], padding where they are free; None where all are.

    Raises:
        ValueError: references are wanted and there are none.
    """
    if batch.prefix_tokens is not None:
        return batch.prefix_tokens
    if size == 0:
        return None
    require(batch.target_tokens is not None, "generator.prefix_size", size, "the input has no references")
    assert batch.target_tokens is not None
    words = batch.target_tokens[:, :size]
    return words.masked_fill(words.eq(eos), pad)


def force(log_probs: Tensor, words: Tensor, own: Tensor, pad: int) -> None:
    """Leave, in place, in each row of log-probabilities [R, V] one word only.

    Args:
        words: that word, int64 [R, 1]; padding where a row is free.
        own: its log-probability, [R, 1].
    """
    forced = words.ne(pad)
    own = own.where(forced, log_probs.gather(1, words))
    log_probs.masked_fill_(forced, float("-inf"))
    log_probs.scatter_(1, words, own)


def allow(log_probs: Tensor, allowed: list[list[int]]) -> None:
    """Leave, in place, in each row of log-probabilities [R, V] the words that are `allowed` there."""
    forbidden = torch.ones_like(log_probs, dtype=torch.bool)
    for row, words in enumerate(allowed):
        forbidden[row, words] = False
    log_probs.masked_fill_(forbidden, float("-inf"))
