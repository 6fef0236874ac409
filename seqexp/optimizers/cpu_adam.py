"""AdamW whose state and step are in the machine's main memory, for models that a GPU holds only without them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from seqexp.config.build import arguments
from seqexp.optimizers.adamw import AdamWConfig
from seqexp.optimizers.rule import Params


@dataclass
class CPUAdamConfig(AdamWConfig):
    """`adamw` on the CPU: gradients go there and weights come back at every update (fairseq's `cpu_adam`). For a model
    that is on the CPU itself it is `adamw`."""

    fields_as_arguments: ClassVar[bool] = False

    _target_: str = "seqexp.optimizers.cpu_adam.CPUAdam"


class CPUAdam(torch.optim.AdamW):
    """torch's AdamW over copies of the weights in main memory; of a weight that is there already there is no copy."""

    def __init__(self, config: CPUAdamConfig, *, params: Params) -> None:
        groups = [group for group in params if isinstance(group, dict)] or [{"params": params}]
        copies = [{**group, "params": [self.in_main_memory(p) for p in group["params"]]} for group in groups]
        weights = [parameter for group in groups for parameter in group["params"]]
        on_cpu = [parameter for group in copies for parameter in group["params"]]
        self.pairs = [(weight, copy) for weight, copy in zip(weights, on_cpu, strict=True) if weight is not copy]
        super().__init__(copies, **arguments(config))

    def in_main_memory(self, weight: nn.Parameter) -> nn.Parameter:
        return weight if weight.device.type == "cpu" else nn.Parameter(weight.detach().cpu())

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for weight, _ in self.pairs:
            if set_to_none:
                weight.grad = None
            elif weight.grad is not None:
                weight.grad.zero_()

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for weight, copy in self.pairs:
            copy.grad = None if weight.grad is None else weight.grad.cpu()
        super().step()
        with torch.no_grad():
            for weight, copy in self.pairs:
                if copy.grad is not None:
                    weight.copy_(copy)
                    copy.grad = None
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The weights that belong to it must be in the model already."""
        super().load_state_dict(state_dict)
        with torch.no_grad():
            for weight, copy in self.pairs:
                copy.copy_(weight)
