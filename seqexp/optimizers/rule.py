"""What optimizers of ours have in common that change one parameter after the other."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqexp.config.build import arguments
from seqexp.optimizers.base import SingleOptimizerConfig

Params = list[torch.nn.Parameter] | list[dict[str, Any]]
State = dict[str, Any]
"""What is remembered of one parameter: tensors and numbers."""
Options = dict[str, Any]
"""Those of a group of parameters: the config's fields, with the rate of this update as `lr`."""


class RuleOptimizer(torch.optim.Optimizer):
    """An optimizer whose rule needs no more than a parameter, its gradient and what is remembered of the two.

    It computes in the number format of the parameter, as torch's own do.
    """

    def __init__(self, config: SingleOptimizerConfig, *, params: Params) -> None:
        super().__init__(params, arguments(config))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self.state[parameter]
                    state["step"] = state.get("step", 0) + 1
                    self.update(parameter, parameter.grad, state, group)
        return loss

    @abstractmethod
    def update(self, weight: Tensor, gradient: Tensor, state: State, options: Options) -> None:
        """Change `weight` in place. `state["step"]` counts its updates, from 1; `gradient` may be overwritten."""


def moments(gradient: Tensor, state: State, betas: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Running means of the gradient and of its square, this gradient included, not corrected for their start at 0."""
    if "mean" not in state:
        state["mean"], state["square"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
    state["mean"].lerp_(gradient, 1 - betas[0])
    state["square"].mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    return state["mean"], state["square"]
