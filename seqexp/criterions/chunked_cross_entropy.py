"""Cross-entropy of an output projection, a few targets at a time: the scores of all of them never exist together.

Shapes: N targets, C of them a chunk, D width, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.criterions.smoothed_cross_entropy import at_least_float32, loss_gradient, loss_sums


def chunked_cross_entropy(
    states: Tensor,
    projection: nn.Linear,
    targets: Tensor,
    smoothing: float,
    padding_index: int,
    *,
    chunk_size: int,
) -> tuple[Tensor, Tensor]:
    """`smoothed_cross_entropy` of `projection(states)`, in memory for chunk_size x V scores.

    The gradients of states, weight and bias are made together with the loss, while a chunk's scores are there (as
    Wijmans et al. 2024, arXiv 2411.09009, and Hsu et al. 2024, arXiv 2410.10989, do), so nothing is computed twice.
    Only where products are in float16 are the scores made again in the backward pass: gradients must be multiplied by
    the loss scale before they are rounded to 16 bits, and that is known then only.

    Args:
        states: [N, D].
        projection: from D to V.
        targets: int64 [N].
        smoothing: probability given away to the uniform distribution.
        padding_index: targets that do not count.
        chunk_size: C.

    Returns:
        The loss and the negative log-likelihood (without gradient), in nats, summed over targets.
    """
    kind = states.device.type
    number_format = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else projection.weight.dtype
    at_once = torch.is_grad_enabled() and number_format != torch.float16
    options = _Options(smoothing, padding_index, chunk_size, number_format, at_once)
    result: tuple[Tensor, Tensor] = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
        states, projection.weight, projection.bias, targets, options
    )
    return result


@dataclass(frozen=True)
class _Options:
    smoothing: float
    padding_index: int
    chunk_size: int
    number_format: torch.dtype
    """Of the products."""
    gradients_at_once: bool
    """In the forward pass."""


class _Chunks:
    """The scores, chunk by chunk, and the gradients that are summed up over them."""

    def __init__(
        self, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, options: _Options, wanted: Any
    ) -> None:
        """`wanted`: whether the gradients of states, weight and bias are."""
        self.options = options
        self.states, self.weight = states.to(options.number_format), weight.to(options.number_format)
        self.bias = None if bias is None else bias.to(options.number_format)
        self.targets, self.kept = targets, targets.ne(options.padding_index)
        self.of_states = torch.empty_like(states) if wanted[0] else None
        self.of_weight = _zeros(weight) if wanted[1] else None
        self.of_bias = _zeros(bias) if wanted[2] and bias is not None else None

    @property
    def gradients(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return self.of_states, self.of_weight, self.of_bias

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """Each chunk's place among the targets, and its log-probabilities, [C, V] in at least float32."""
        for start in range(0, len(self.targets), self.options.chunk_size):
            rows = slice(start, start + self.options.chunk_size)
            with torch.autocast(self.states.device.type, enabled=False):
                logits = F.linear(self.states[rows], self.weight, self.bias)
            yield rows, logits.log_softmax(dim=1, dtype=at_least_float32(logits.dtype))

    def add_gradients(self, rows: slice, log_probs: Tensor, scale: Tensor | float) -> None:
        """Sum up the gradients of `scale` times the loss of a chunk; `log_probs` are used up."""
        of_loss = loss_gradient(log_probs, self.targets[rows], self.kept[rows] * scale, self.options.smoothing)
        of_scores = of_loss.to(self.options.number_format)
        with torch.autocast(self.states.device.type, enabled=False):
            if self.of_states is not None:
                self.of_states[rows] = of_scores @ self.weight
            if self.of_weight is not None and self.of_weight.dtype == of_scores.dtype:
                self.of_weight.addmm_(of_scores.t(), self.states[rows])
            elif self.of_weight is not None:
                self.of_weight += of_scores.t() @ self.states[rows]
            if self.of_bias is not None:
                self.of_bias += of_loss.sum(dim=0)


def _zeros(tensor: Tensor) -> Tensor:
    """Sums over chunks are kept in 32 bits."""
    return torch.zeros_like(tensor, dtype=at_least_float32(tensor.dtype))


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, options: _Options
    ) -> tuple[Tensor, Tensor]:
        wanted = ctx.needs_input_grad if options.gradients_at_once else (False, False, False)
        chunks = _Chunks(states, weight, bias, targets, options, wanted)
        loss = torch.zeros((), device=states.device, dtype=at_least_float32(options.number_format))
        nll = loss.clone()
        for rows, log_probs in chunks:
            loss_part, nll_part = loss_sums(log_probs, targets[rows], chunks.kept[rows], options.smoothing)
            loss += loss_part
            nll += nll_part
            if options.gradients_at_once:
                chunks.add_gradients(rows, log_probs, 1.0)
        ctx.options = options
        ctx.dtypes = [None if tensor is None else tensor.dtype for tensor in (states, weight, bias)]
        ctx.save_for_backward(*(chunks.gradients if options.gradients_at_once else (states, weight, bias)), targets)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *saved, targets = ctx.saved_tensors
        options: _Options = ctx.options
        if options.gradients_at_once:
            # In place, as it is the last use. A second backward pass raises.
            found = tuple(None if gradient is None else gradient.mul_(gradients[0]) for gradient in saved)
        else:
            states, weight, bias = saved
            chunks = _Chunks(states, weight, bias, targets, options, ctx.needs_input_grad)
            for rows, log_probs in chunks:
                chunks.add_gradients(rows, log_probs, gradients[0])
            found = chunks.gradients
        pairs = zip(found, ctx.dtypes, strict=True)
        return *(None if gradient is None else gradient.to(dtype) for gradient, dtype in pairs), None, None
