"""Several optimizers, each for a group of the parameters."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from seqexp.config.build import build
from seqexp.optimizers.base import OptimizerConfig, ParameterGroupConfig, TrainsOtherWeights


@dataclass
class CompositeConfig(OptimizerConfig):
    """Groups of parameters, each with an optimizer and, where it is to have one of its own, a schedule. A preset of
    one's own says what they are, as `conf/optimizer/muon.yaml` does: `defaults: [schema/composite@_here_,
    schema/sgd@groups.tables.optimizer, schema/adamw@groups.rest.optimizer,
    /lr_scheduler/schema/constant@groups.tables.lr_scheduler, _self_]`, then `groups: {tables: {parameters:
    [embedding]}}`. `lr` in the journal, and for `stop.min_lr`, is the highest of all."""

    _target_: str = "seqexp.optimizers.composite.Composite"
    groups: dict[str, ParameterGroupConfig] = field(default_factory=dict)
    """By a name: `parameters`, names of kinds (`bias`, `norm`, `embedding`, `hidden_matrix`) and patterns such as
    `encoder.*`, null for all the rest; `optimizer`; `lr_scheduler`, null for that of the run. No parameter may be in
    two."""

    def groups_of_parameters(self) -> Mapping[str, ParameterGroupConfig]:
        return self.groups


class _Joined(ChainMap[torch.Tensor, Any]):
    """Of mappings that make up what is missing: asked only for what is there."""

    def __getitem__(self, key: torch.Tensor) -> Any:
        return next(mapping for mapping in self.maps if key in mapping)[key]


class Composite(torch.optim.Optimizer):
    """One optimizer to whoever uses it: its groups are those of all, in the order of `params`.

    Args:
        config: what optimizer each group has.
        params: groups as `parameter_groups` makes them, those of one name beside each other.
    """

    def __init__(self, config: CompositeConfig, *, params: list[dict[str, Any]]) -> None:
        super().__init__(params, {})
        by_name: dict[str, list[dict[str, Any]]] = {}
        for group in params:
            by_name.setdefault(group["name"], []).append(group)
        self.optimizers: list[torch.optim.Optimizer] = [
            build(config.groups[name].optimizer, params=groups) for name, groups in by_name.items()
        ]
        self.defaults = {name: None for optimizer in self.optimizers for name in optimizer.defaults}
        self._join()

    def _join(self) -> None:
        self.param_groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        self.state = _Joined(*(optimizer.state for optimizer in self.optimizers))  # type: ignore[assignment]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """As that of any optimizer: parameters are numbered through all groups."""
        state: dict[int, Any] = {}
        groups: list[dict[str, Any]] = []
        start = 0
        for optimizer in self.optimizers:
            part = optimizer.state_dict()
            state |= {start + number: values for number, values in part["state"].items()}
            groups += [{**g, "params": [start + number for number in g["params"]]} for g in part["param_groups"]]
            start += _num_parameters(optimizer)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        start, groups = 0, iter(state_dict["param_groups"])
        for optimizer in self.optimizers:
            end = start + _num_parameters(optimizer)
            own = [next(groups) for _ in optimizer.param_groups]
            optimizer.load_state_dict(
                {
                    "state": {n - start: v for n, v in state_dict["state"].items() if start <= n < end},
                    "param_groups": [{**g, "params": [number - start for number in g["params"]]} for g in own],
                }
            )
            start = end
        self._join()

    def eval(self) -> None:
        for optimizer in self.optimizers:
            if isinstance(optimizer, TrainsOtherWeights):
                optimizer.eval()

    def train(self) -> None:
        for optimizer in self.optimizers:
            if isinstance(optimizer, TrainsOtherWeights):
                optimizer.train()


def _num_parameters(optimizer: torch.optim.Optimizer) -> int:
    return sum(len(group["params"]) for group in optimizer.param_groups)
