"""One update: forward and backward over its micro-batches, clipping, the optimizer's step."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from seqexp.criterions.base import Criterion, LossOutput
from seqexp.data.batch import Batch
from seqexp.models.base import Model
from seqexp.precisions.base import Precision
from seqexp.runtime.rng import derive_seed
from seqexp.training.metrics import MetricBag


class NormalizeBy(StrEnum):
    """What the gradient of an update's summed loss is divided by."""

    targets = "targets"
    """The loss of the average target."""
    sentences = "sentences"
    """The loss of the average sentence, in which long ones weigh more: fairseq's `sentence_avg`."""

    def denominator(self, micro_batches: Sequence[Batch]) -> int:
        """That of an update; at least 1, so that one without targets has gradient 0."""
        by_targets = self is NormalizeBy.targets
        return max(1, sum(batch.num_targets if by_targets else batch.num_sentences for batch in micro_batches))


class Fault(StrEnum):
    """Why an update was not made."""

    overflow = "overflow"
    """The number format's range was too small; it has adapted itself."""
    non_finite = "non_finite"
    """The loss or the gradient is infinite or not a number."""


@dataclass(frozen=True)
class TrainStep:
    """What an update needs besides its data."""

    model: Model
    criterion: Criterion
    optimizer: torch.optim.Optimizer
    precision: Precision
    device: torch.device
    clip_norm: float | None
    seed: int
    normalize_by: NormalizeBy = NormalizeBy.targets

    def __call__(
        self, micro_batches: Sequence[Batch], update: int, lr: float | Mapping[str, float], metrics: MetricBag
    ) -> Fault | None:
        """Make update number `update` (from 0).

        The gradient is that of the loss summed over all micro-batches, divided by their targets (or sentences)
        together, so how an update is cut into micro-batches changes nothing. Randomness depends on (seed, update,
        micro-batch).

        Args:
            lr: of all parameters, or of each of the optimizer's groups by its name, which is empty where it has none.

        Returns:
            None, or why the update was not made; then weights, optimizer and metrics are as before, and there are no
            gradients.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr[group.get("name", "")] if isinstance(lr, Mapping) else lr
        self.optimizer.zero_grad(set_to_none=True)
        denominator = self.normalize_by.denominator(micro_batches)
        outputs = [self.accumulate(batch, update, n, denominator) for n, batch in enumerate(micro_batches)]
        self.precision.unscale(self.model.parameters(), denominator)
        norm = gradient_norm(self.model.parameters()).to(self.device)
        # Both at once: each look at a number makes the device wait.
        if not torch.stack([norm, *(output.sum.detach().float() for output in outputs)]).isfinite().all():
            self.optimizer.zero_grad(set_to_none=True)
            return Fault.overflow if self.precision.overflowed() else Fault.non_finite
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.model.parameters(), self.clip_norm, norm)
        self.optimizer.step()
        self.precision.succeeded()
        for output in outputs:
            metrics.add({"loss": output.sum, **output.metrics}, output.num_targets)
        metrics.add({"gradient_norm": norm}, 1)
        return None

    def accumulate(self, batch: Batch, update: int, number: int, denominator: int) -> LossOutput:
        """Forward and backward over micro-batch `number` of an update; the gradient is added to that of the others."""
        torch.manual_seed(derive_seed(self.seed, update, number))
        with self.precision.autocast():
            output: LossOutput = self.criterion(self.model, batch.to(self.device))
        self.precision.backward(output.sum.float(), denominator)
        return output


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, computed in float32 whatever their own format; a scalar."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = [torch.linalg.vector_norm(gradient, dtype=torch.float32) for gradient in gradients]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())
