"""One update: forward and backward over its micro-batches, clipping, the optimizer's step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqexp.criterions.base import Criterion
from seqexp.data.batch import Batch
from seqexp.models.base import Model
from seqexp.runtime.rng import derive_seed
from seqexp.training.metrics import MetricBag
from seqexp.training.precision import Precision


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

    def __call__(self, micro_batches: Sequence[Batch], update: int, lr: float, metrics: MetricBag) -> None:
        """Finish update number `update` (from 0).

        The gradient is that of the loss summed over all micro-batches, divided by their targets together, so how an
        update is cut into micro-batches changes nothing. Randomness depends on (seed, update, micro-batch).
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.zero_grad(set_to_none=True)
        num_targets = sum(batch.num_targets for batch in micro_batches)
        outputs = []
        for number, batch in enumerate(micro_batches):
            torch.manual_seed(derive_seed(self.seed, update, number))
            output = self.criterion(self.model, batch.to(self.device))
            self.precision.backward(output.sum / num_targets)
            outputs.append(output)
        norm = self._clip()
        self.precision.step(self.optimizer)
        for output in outputs:
            metrics.add({"loss": output.sum, **output.metrics}, output.num_targets)
        metrics.add({"gradient_norm": norm}, 1)

    def _clip(self) -> Tensor:
        """Scale gradients down to `clip_norm`; their norm before."""
        limit = float("inf") if self.clip_norm is None else self.clip_norm
        return nn.utils.clip_grad_norm_(self.model.parameters(), limit)
