"""How likely models hold a given text.

Shapes: N targets, D width, V vocabulary.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqexp.data.batch import Batch
from seqexp.models.base import Model, ModelOutput
from seqexp.modules.adaptive import AdaptiveSoftmax

TARGETS_AT_ONCE = 1024
"""Whose scores over the vocabulary exist at a time."""


@torch.no_grad()
def target_log_probs(models: Sequence[Model], batch: Batch, targets: Tensor, padding_index: int) -> Tensor:
    """ln p of every target that is not padding, in the order of the rows: float32 [N].

    Args:
        models: at least one; of several the probabilities are averaged.
        targets: int64 [B, T].
    """
    kept = targets.ne(padding_index)
    outputs = [model(batch) for model in models]
    states = [output.states[kept] for output in outputs]
    words = targets[kept]
    parts = []
    for start in range(0, len(words), TARGETS_AT_ONCE):
        rows = slice(start, start + TARGETS_AT_ONCE)
        each = [_log_probs(output, x[rows], words[rows]) for output, x in zip(outputs, states, strict=True)]
        parts.append(torch.stack(each).logsumexp(dim=0) - math.log(len(each)))
    return torch.cat(parts) if parts else torch.empty(0, device=targets.device)


def _log_probs(output: ModelOutput, states: Tensor, targets: Tensor) -> Tensor:
    if isinstance(output.projection, AdaptiveSoftmax):
        return output.projection.nll(states, targets).float().neg()
    logits = states if output.projection is None else output.projection(states)
    return logits.float().log_softmax(dim=1).gather(1, targets[:, None]).squeeze(1)
