"""The cross-entropy of scores with smoothed targets: a function with a backward pass of its own.

Shapes: N targets, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor


def smoothed_cross_entropy(
    logits: Tensor, targets: Tensor, smoothing: float, padding_index: int
) -> tuple[Tensor, Tensor]:
    """Cross-entropy with targets of 1 - smoothing + smoothing / V and smoothing / V for every other word.

    Computed in at least float32, and with its own backward pass: two passes over [N, V] and one new tensor of that
    size in each direction, which takes less than half of the time of the same from differentiable operations.

    Args:
        logits: [N, V].
        targets: int64 [N].
        smoothing: probability given away to the uniform distribution.
        padding_index: targets that do not count.

    Returns:
        The loss and the negative log-likelihood (without gradient), in nats, summed over targets.
    """
    result: tuple[Tensor, Tensor] = _SmoothedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        logits.to(at_least_float32(logits.dtype)), targets, smoothing, padding_index
    )
    return result


def at_least_float32(number_format: torch.dtype) -> torch.dtype:
    """In which a loss is computed from scores of this format."""
    return torch.promote_types(number_format, torch.float32)


def loss_sums(log_probs: Tensor, targets: Tensor, kept: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """The loss and the negative log-likelihood, summed over targets.

    Args:
        log_probs: [N, V].
        targets: int64 [N].
        kept: False at targets that do not count, bool [N].
        smoothing: as above.
    """
    nll = log_probs.gather(1, targets[:, None]).squeeze(1).neg_()
    nll_sum = (nll * kept).sum()
    if smoothing == 0:
        return nll_sum.clone(), nll_sum
    uniform = (log_probs.mean(dim=1) * kept).sum().neg_()
    return (1 - smoothing) * nll_sum + smoothing * uniform, nll_sum


def loss_gradient(log_probs: Tensor, targets: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """The gradient of the loss with respect to the scores, [N, V], row by row times `weights`, [N].

    It is made in the memory of `log_probs`: to allocate another [N, V] costs more than to compute it.
    """
    gradient = log_probs.exp_()
    if smoothing > 0:
        gradient.sub_(smoothing / gradient.shape[1])
    gradient.scatter_add_(1, targets[:, None], gradient.new_full((len(targets), 1), smoothing - 1))
    return gradient.mul_(weights[:, None])


class _SmoothedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, targets: Tensor, smoothing: float, padding_index: int
    ) -> tuple[Tensor, Tensor]:
        log_probs = logits.log_softmax(dim=1)
        kept = targets.ne(padding_index)
        loss, nll_sum = loss_sums(log_probs, targets, kept, smoothing)
        ctx.save_for_backward(log_probs, targets, kept)
        ctx.smoothing = smoothing
        ctx.mark_non_differentiable(nll_sum)
        return loss, nll_sum

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        log_probs, targets, kept = ctx.saved_tensors
        # The log-probabilities are used up: a second backward pass raises.
        return loss_gradient(log_probs, targets, kept * gradients[0], ctx.smoothing), None, None, None
