"""A moving average of the weights, which often validates better than the weights themselves.

Polyak and Juditsky (1992); exponential as in fairseq's `ema`: after an update, average := decay * average + (1 - decay)
* weights, from the initial weights on.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from seqexp.checkpoint.layout import AVERAGED, MODEL, TRAINED, Checkpoint, Weights
from seqexp.checkpoint.tensors import Part, TensorSet
from seqexp.config.base import require
from seqexp.runtime.errors import UserError


@dataclass
class EMAConfig:
    """An exponential moving average of the weights."""

    decay: float | None = None
    """Weight of the average so far, such as 0.999, when an update is added to it; null: no average is kept."""
    start_update: int = 0
    """So many updates long the average is the weights themselves."""
    every_updates: int = 1
    """Updates between two additions."""
    fp32: bool = True
    """Keep the average in 32 bits whatever the weights' format: in 16 bits it hardly moves with a decay near 1."""
    use_for_validation: bool = True
    """The average is what is validated, chosen the best by, evaluated at the end and used from a checkpoint; false: the
    weights themselves are, and the average is only kept beside them."""

    def __post_init__(self) -> None:
        require(self.decay is None or 0 <= self.decay < 1, "decay", self.decay, "from 0 to below 1, or null for none")
        require(self.start_update >= 0, "start_update", self.start_update, "a count from 0")
        require(self.every_updates > 0, "every_updates", self.every_updates, "a count above 0")


class NoEMA:
    """No average is kept: the weights are what is trained, validated and saved."""

    def update(self, update: int) -> None:
        """Add the weights after update number `update`, counted from 1."""

    def validating(self) -> contextlib.AbstractContextManager[None]:
        """In this context the model has the weights that are to be validated."""
        return contextlib.nullcontext()

    def tensor_sets(self, weights: TensorSet) -> dict[str, TensorSet]:
        """What is saved of the weights and their average, by the names of a checkpoint's sets."""
        return {MODEL: weights}

    def load(self, checkpoint: Checkpoint) -> None:
        """Take over what `tensor_sets` gave; the model has its weights already.

        Raises:
            UserError: it does not fit.
        """


class EMA(NoEMA):
    """The average of all that a model's state dict holds. Counts are no numbers to average: they are copied."""

    def __init__(
        self,
        config: EMAConfig,
        model: nn.Module,
        part: Callable[[Tensor], Part] = Part.whole,
        master: Callable[[nn.Parameter], nn.Parameter] = lambda weight: weight,
    ) -> None:
        """The average begins as the weights that `model` has now, whose tensors it must keep.

        Args:
            part: what this process holds of a weight, and averages.
            master: what the optimizer changes in place of a weight: that is averaged, not the rounded weight.
        """
        assert config.decay is not None
        self.config, self.decay = config, config.decay
        state = model.state_dict(keep_vars=True)
        self._parts = TensorSet.of(state, part).parts
        self._weights = {name: held.tensor for name, held in self._parts.items()}
        learning = {name: master(x) if isinstance(x, nn.Parameter) else x for name, x in state.items()}
        self._learning = {name: part(learning[name]).tensor for name in self._parts}
        """What is averaged: the weights, or their masters."""
        self._averages = self._started()

    @torch.no_grad()
    def update(self, update: int) -> None:
        if update % self.config.every_updates:
            return
        decay = self.decay if update >= self.config.start_update else 0.0
        floating = [name for name, weight in self._weights.items() if weight.is_floating_point()]
        averages = [self._averages[name] for name in floating]
        weights = [self._learning[name].to(self._averages[name].dtype) for name in floating]
        get_ema_multi_avg_fn(decay)(averages, weights, 0)  # type: ignore[no-untyped-call]
        for name in self._weights.keys() - set(floating):
            self._averages[name].copy_(self._weights[name])

    @contextlib.contextmanager
    def _averages_in_place(self) -> Iterator[None]:
        kept = {name: weight.clone() for name, weight in self._weights.items()}
        try:
            self._give(self._averages)
            yield
        finally:
            self._give(kept)

    def validating(self) -> contextlib.AbstractContextManager[None]:
        return self._averages_in_place() if self.config.use_for_validation else contextlib.nullcontext()

    def tensor_sets(self, weights: TensorSet) -> dict[str, TensorSet]:
        averages = TensorSet(self._like_weights(self._averages), weights.aliases)
        if not self.config.use_for_validation:
            return {MODEL: weights, AVERAGED: averages}
        if all(self._averages[name].dtype == weight.dtype for name, weight in self._weights.items()):
            return {MODEL: averages, TRAINED: weights}
        usable = {name: average.to(self._weights[name].dtype) for name, average in self._averages.items()}
        model = TensorSet(self._like_weights(usable), weights.aliases)
        return {MODEL: model, TRAINED: weights, AVERAGED: averages}

    def load(self, checkpoint: Checkpoint) -> None:
        if not checkpoint.has(AVERAGED) and not checkpoint.has(TRAINED):
            self._averages = self._started()
            return
        saved = checkpoint.tensors(checkpoint.set_of(Weights.averaged))
        for name, part in self._parts.items():
            if name not in saved.entries or saved.shape(name) != part.full_shape:
                raise UserError(f"{checkpoint.path}: its moving average is that of another model: {name}")
            if part.rows:
                self._averages[name].copy_(saved.read(name, part.offset, part.offset + part.rows))

    def _like_weights(self, tensors: dict[str, Tensor]) -> dict[str, Part]:
        return {name: replace(part, tensor=tensors[name]) for name, part in self._parts.items()}

    @torch.no_grad()
    def _give(self, tensors: dict[str, Tensor]) -> None:
        for name, weight in self._weights.items():
            weight.copy_(tensors[name])

    def _started(self) -> dict[str, Tensor]:
        return {name: self._learning[name].to(self._format(w), copy=True) for name, w in self._weights.items()}

    def _format(self, weight: Tensor) -> torch.dtype:
        """That of a weight's average."""
        in_32_bits = self.config.fp32 and weight.is_floating_point() and weight.element_size() < 4
        return torch.float32 if in_32_bits else weight.dtype


def build_ema(
    config: EMAConfig,
    model: nn.Module,
    part: Callable[[Tensor], Part] = Part.whole,
    master: Callable[[nn.Parameter], nn.Parameter] = lambda weight: weight,
) -> NoEMA:
    """The moving average of a model as `config` asks for it; `part` and `master` are those of `EMA`."""
    return NoEMA() if config.decay is None else EMA(config, model, part, master)
