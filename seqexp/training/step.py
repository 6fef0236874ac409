"""One update: forward and backward over its micro-batches, clipping, the optimizer's step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import torch
from torch import Tensor, nn

from seqexp.checkpoint.optimizer import names_of
from seqexp.criterions.base import Criterion, LossOutput
from seqexp.data.batch import Batch
from seqexp.distributed.base import DistributedConfig, Layout
from seqexp.distributed.world import World
from seqexp.models.base import Model
from seqexp.precisions.base import Precision
from seqexp.runtime.rng import derive_seed
from seqexp.training.metrics import MetricBag
from seqexp.training.share import Share, Totals


class NormalizeBy(StrEnum):
    """What the gradient of an update's summed loss is divided by."""

    targets = "targets"
    """The loss of the average target."""
    sentences = "sentences"
    """The loss of the average sentence, in which long ones weigh more: fairseq's `sentence_avg`."""

    def denominator(self, totals: Totals) -> int:
        """That of an update; at least 1, so that one without targets has gradient 0."""
        return max(1, totals.num_targets if self is NormalizeBy.targets else totals.num_sentences)


class Fault(StrEnum):
    """Why an update was not made."""

    overflow = "overflow"
    """The number format's range was too small; it has adapted itself."""
    non_finite = "non_finite"
    """The loss or the gradient is infinite or not a number."""


class Loss(nn.Module):
    """Model and criterion as one module, whose forward pass is all that has parameters: what a layout wraps."""

    def __init__(self, model: Model, criterion: Criterion) -> None:
        super().__init__()
        self.model, self.criterion = model, criterion

    def forward(self, batch: Batch) -> tuple[Tensor, int, dict[str, Tensor]]:
        """The fields of a LossOutput, in a form in which every layout finds the tensors."""
        output: LossOutput = self.criterion(self.model, batch)
        return output.sum, output.num_targets, output.metrics


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
    layout: Layout = field(default_factory=lambda: Layout(DistributedConfig(), world=World(torch.device("cpu"))))
    wrapped: nn.Module | None = None
    """The `Loss` as `layout` wraps it; None where it leaves it as it is."""

    def __call__(
        self,
        share: Share,
        update: int,
        lr: float | Mapping[str, float],
        metrics: MetricBag,
        totals: Totals | None = None,
    ) -> Fault | None:
        """Make update number `update` (from 0).

        The gradient is that of the loss summed over all micro-batches, of all processes, divided by their targets (or
        sentences) together, so how an update is cut into micro-batches and who computes them changes nothing.
        Randomness depends on (seed, update, micro-batch). Where the layout has each process make an update of its own,
        all this is so of its share, and one that has nothing to compute makes none.

        Args:
            share: what this process computes of it.
            totals: of the whole update; None where `share` is all of it.
            lr: of all parameters, or of each of the optimizer's groups by its name, which is empty where it has none.

        Returns:
            None, or why the update was not made, the same in all processes; then weights, optimizer and metrics are as
            before, and there are no gradients.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = lr[group.get("name", "")] if isinstance(lr, Mapping) else lr
        self.optimizer.zero_grad(set_to_none=True)
        self.layout.begin_update(update, self.optimizer)
        is_local = self.layout.is_local
        denominator = self.denominator(self.counted(share, totals))
        outputs = self._accumulate_all(share, update, denominator)
        self.precision.unscale(self.model.parameters(), denominator)
        norm = self.layout.gradient_norm(self.trained).to(self.device)
        # Both at once: each look at a number makes the device wait.
        finite = torch.stack([norm, *(output.sum.detach().float() for output in outputs)]).isfinite().all()
        if not self.layout.agreed(bool(finite)):
            self.optimizer.zero_grad(set_to_none=True)
            self.layout.dropped()
            return Fault.overflow if self.precision.overflowed() else Fault.non_finite
        has_part = share.num_counted > 0 or not is_local
        if has_part:
            if self.clip_norm is not None:
                self.layout.clip(self.trained, self.clip_norm, norm)
            self.optimizer.step()
        self.layout.updated(self.optimizer)
        self.precision.succeeded()
        for output in outputs[: share.num_counted]:
            metrics.add({"loss": output.sum, **output.metrics}, output.num_targets)
        if has_part and (is_local or self.layout.world.is_first):  # it may be the same in all
            metrics.add({"gradient_norm": norm}, 1)
        return None

    @property
    def trained(self) -> list[nn.Parameter]:
        """What the optimizer changes: the masters of the trained weights."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    @property
    def names(self) -> dict[nn.Parameter, str]:
        """The names of the trained weights by what the optimizer changes, in the model's order."""
        return {self.precision.master(weight): name for weight, name in names_of(self.model).items()}

    def master(self, tensor: Tensor) -> Tensor:
        """What the optimizer changes in place of a tensor of the model's state."""
        return self.precision.master(tensor) if isinstance(tensor, nn.Parameter) else tensor

    def counted(self, share: Share, totals: Totals | None) -> Totals:
        """The counts by which this process' gradient is normalised.

        Args:
            totals: of the whole update; None where `share` is all of it.
        """
        return share.totals if totals is None or self.layout.is_local else totals

    def denominator(self, totals: Totals) -> float:
        """What each process divides its gradient by, where that is averaged over processes afterwards."""
        return self.normalize_by.denominator(totals) / self.layout.num_averaged

    def accumulate(
        self,
        batch: Batch,
        update: int,
        number: int,
        denominator: float,
        loss: nn.Module | None = None,
        weight: float = 1.0,
    ) -> LossOutput:
        """Forward and backward over micro-batch `number` of an update; the gradient is added to that of the others.

        Args:
            loss: the module that computes it; None for one that only this process knows of.
            weight: the gradient is multiplied by it.
        """
        torch.manual_seed(derive_seed(self.seed, update, number))
        loss = loss or Loss(self.model, self.criterion)
        with self.precision.autocast():
            output = LossOutput(*loss(batch.to(self.device)))
        # A loss that is not finite makes the gradient so too: that is how the other processes come to know of it.
        factor = torch.where(output.sum.detach().isfinite(), weight, float("nan"))
        kind = torch.promote_types(output.sum.dtype, torch.float32)
        self.precision.backward(output.sum.to(kind) * factor.to(kind), denominator)
        return output

    def _accumulate_all(self, share: Share, update: int, denominator: float) -> list[LossOutput]:
        loss = self.wrapped or Loss(self.model, self.criterion)
        outputs = []
        for position, (number, batch) in enumerate(zip(share.numbers, share.batches, strict=True), start=1):
            with self.layout.micro_batch(loss, is_last=position == len(share.batches)):
                weight = 1.0 if position <= share.num_counted else 0.0
                outputs.append(self.accumulate(batch, update, number, denominator, loss, weight))
        return outputs
