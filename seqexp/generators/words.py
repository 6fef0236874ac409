"""From the last states of a decoder to log-probabilities of words, which is half of the work of a search.

Shapes: R rows, D width of the states, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.models.base import ModelOutput

_ROWS, _WORDS = 256, 384
"""Sizes of the blocks whose scores are made together. They stay in a processor's caches; a product with all words at
once does not, and takes half as long again."""


class WordLogProbs:
    """Log-probabilities of one model, in memory that is used again in every step."""

    def __init__(self) -> None:
        self._scores: Tensor | None = None
        self._log_probs: Tensor | None = None

    def __call__(self, output: ModelOutput, temperature: float = 1.0) -> Tensor:
        """Of the words after the last position of `output`, float32 [R, V]; valid until the next call."""
        states, projection = output.states[:, -1], output.projection
        if not isinstance(projection, nn.Linear) or not _plain(states, projection):
            scores = output.logits[:, -1].float()
            return (scores if temperature == 1 else scores / temperature).log_softmax(dim=1)
        num_rows, num_words = len(states), projection.out_features
        self._log_probs = log_probs = _sized(self._log_probs, num_rows, num_words, states)
        self._scores = scores = _sized(self._scores, min(num_rows, _ROWS), num_words, states)
        for part, target in zip(torch.split(states, _ROWS), torch.split(log_probs[:num_rows], _ROWS), strict=True):
            block = scores[: len(part)]
            _project(part, projection, block)
            if temperature != 1:
                block /= temperature
            torch.log_softmax(block, 1, out=target)
        return log_probs[:num_rows]


def _plain(states: Tensor, projection: nn.Linear) -> bool:
    """Whether this is a product in 32 bits on the processor, which may be cut into blocks."""
    on_cpu = states.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return on_cpu and type(projection) is nn.Linear and states.dtype == torch.float32 == projection.weight.dtype


def _sized(space: Tensor | None, num_rows: int, num_words: int, like: Tensor) -> Tensor:
    if space is None or len(space) < num_rows:
        return like.new_empty(num_rows, num_words)
    return space


def _project(states: Tensor, projection: nn.Linear, target: Tensor) -> None:
    """Write the scores of the states into `target`, made a block of words after the other."""
    weights = torch.split(projection.weight, _WORDS)
    biases = [None] * len(weights) if projection.bias is None else torch.split(projection.bias, _WORDS)
    # Not straight into the columns of `target`: torch 2.13 gives wrong numbers there for less than 32 rows.
    blocks = [F.linear(states, weight, bias) for weight, bias in zip(weights, biases, strict=True)]
    torch.cat(blocks, dim=1, out=target)
