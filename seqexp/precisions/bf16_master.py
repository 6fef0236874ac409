"""bfloat16 with a copy of the weights in 32 bits, which is the one that learns (Micikevicius et al. 2018,
arXiv 1710.03740, section 3.1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from seqexp.precisions.base import Precision, PrecisionConfig


@dataclass
class BF16MasterConfig(PrecisionConfig):
    """The model, its gradients and all that it computes in bfloat16; the optimizer changes a copy of the weights in 32
    bits, of which the model gets the rounded values. Clipping and the optimizer's state are in 32 bits too."""

    _target_: str = "seqexp.precisions.bf16_master.BF16Master"


class BF16Master(Precision):
    """A model in bfloat16 and a copy of its trained weights in float32. Both are saved."""

    def __init__(self, config: BF16MasterConfig, *, device: torch.device) -> None:
        super().__init__(config, device=device)
        self._masters: dict[nn.Parameter, nn.Parameter] = {}

    def prepare(self, model: nn.Module) -> None:
        model.to(torch.bfloat16)

    def masters(self, weights: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        self._masters = {weight: nn.Parameter(weight.detach().float()) for weight in weights}
        return list(self._masters.values())

    def master(self, weight: nn.Parameter) -> nn.Parameter:
        return self._masters.get(weight, weight)

    def unscale(self, parameters: Iterable[nn.Parameter], denominator: float) -> None:
        for weight in parameters:
            if weight.grad is not None:
                self._masters[weight].grad, weight.grad = weight.grad.float(), None

    @torch.no_grad()
    def succeeded(self) -> None:
        for weight, master in self._masters.items():
            weight.copy_(master)
