"""An optimizer's state by the names of the parameters: it fits whatever their order, their groups and their layout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seqexp.checkpoint.tensors import Part, Tensors
from seqexp.runtime.errors import UserError

PLAIN = bool | int | float | str | None
ADDED_WHEN_LOADED = {"differentiable"}
"""Options that torch gives every optimizer that is loaded, and not every new one."""
Names = Mapping[nn.Parameter, str]
Read = Callable[[Tensors, str, nn.Parameter], Tensor]
"""Gives a parameter that part of a state tensor, by its name, which its layout needs."""


@dataclass(frozen=True)
class OptimizerState:
    """State of an optimizer, as a checkpoint holds it."""

    options: frozenset[str]
    """Names of the optimizer's options, by which one of another kind is told."""
    groups: Mapping[str, str]
    """For each parameter, the name of its group in an optimizer that has several kinds of them; otherwise empty."""
    scalars: Mapping[str, Mapping[str, Any]]
    """For each parameter, by state key, numbers and tensors without dimensions, in the form of `scalar_value`."""
    tensors: Tensors
    """All others; their names are those of `tensor_name`."""

    @classmethod
    def of(cls, document: Mapping[str, Any], tensors: Tensors) -> Self:
        """From what `optimizer_content` gave."""
        groups = {name: group.get("name", "") for group in document["groups"] for name in group["parameters"]}
        return cls(frozenset(document["options"]), groups, document["state"], tensors)


def names_of(model: nn.Module) -> dict[nn.Parameter, str]:
    """The names of the parameters that are trained, in the model's order; a tied one has the first of its names."""
    return {parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad}


def optimizer_content(
    optimizer: Optimizer, names: Names, part: Callable[[Tensor], Part] = Part.whole
) -> tuple[dict[str, Any], dict[str, Part]]:
    """What is saved of an optimizer.

    Args:
        names: of all its parameters.
        part: what this process holds of a state tensor.

    Returns:
        JSON values (numbers of each parameter, and for people the options of each group), and the tensors.

    Raises:
        TypeError: it keeps something else than numbers and tensors.
    """
    scalars: dict[str, dict[str, Any]] = {}
    tensors: dict[str, Part] = {}
    groups = []
    for group in optimizer.param_groups:
        options = {key: value for key, value in group.items() if isinstance(value, PLAIN)}
        groups.append({**options, "parameters": [names[parameter] for parameter in group["params"]]})
        for parameter in group["params"]:
            scalars[names[parameter]] = {}
            for key, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor) and value.ndim:
                    tensors[tensor_name(names[parameter], key)] = part(value)
                else:
                    scalars[names[parameter]][key] = scalar_value(value)
    document = {
        "optimizer": type(optimizer).__name__,
        "options": sorted(optimizer.defaults),
        "groups": groups,
        "state": scalars,
    }
    return document, tensors


def load_optimizer(
    optimizer: Optimizer,
    names: Names,
    saved: OptimizerState,
    source: str,
    read: Read = lambda tensors, name, parameter: tensors.read(name).clone(),  # out of the file that is mapped
) -> None:
    """Give an optimizer the state of a checkpoint; its options stay what they are.

    Args:
        names: of the parameters that are trained; the optimizer may be one of some of them.
        source: of the state, for messages.
        read: what this process needs of a state tensor.

    Raises:
        UserError: it is one of another optimizer, or of other parameters.
    """
    if (saved.options ^ set(optimizer.defaults)) - ADDED_WHEN_LOADED:
        raise UserError(f"{source}: its optimizer state is not one of {type(optimizer).__name__}")
    own = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    differing = saved.scalars.keys() ^ set(names.values())
    if differing:
        shown = ", ".join(sorted(differing)[:3]) + (", ..." if len(differing) > 3 else "")
        raise UserError(
            f"{source}: its optimizer state has other parameters ({shown}); `freeze` must be as it was there, "
            "or begin with the weights alone, by checkpoint.finetune_from"
        )
    for group in optimizer.param_groups:
        for name in (names[parameter] for parameter in group["params"]):
            if saved.groups[name] != group.get("name", ""):
                raise UserError(f"{source}: {name} was in another of optimizer.groups; they must be as they were there")
    keys: dict[str, list[str]] = {}
    for tensor in saved.tensors.names():
        name, key = tensor.split("//")
        keys.setdefault(name, []).append(key)
    state: dict[int, dict[str, Any]] = {}
    for number, parameter in enumerate(own):
        name = names[parameter]
        values = {key: _from_scalar(value) for key, value in saved.scalars[name].items()}
        values |= {key: read(saved.tensors, tensor_name(name, key), parameter) for key in keys.get(name, ())}
        if values:
            state[number] = values
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for number, values in state.items():
        # torch gives state the parameter's format; what was kept in another is to stay exact.
        loaded = optimizer.state[own[number]]
        for key, value in values.items():
            # One that an optimizer has used up at once, as `TrainsOtherWeights` may, is not there any more.
            if isinstance(value, Tensor) and key in loaded and loaded[key].dtype != value.dtype:
                loaded[key] = value.to(loaded[key].device)


def tensor_name(parameter: str, key: str) -> str:
    """The name of a state tensor in its set."""
    return f"{parameter}//{key}"


def scalar_value(value: Any) -> Any:
    """A number, or a tensor without dimensions, as a JSON value from which it comes back bit for bit.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, Tensor) and not value.ndim:
        return {"dtype": str(value.dtype).removeprefix("torch."), "value": value.item()}
    if isinstance(value, PLAIN):
        return value
    raise TypeError(f"an optimizer's {type(value).__name__} cannot be saved: only numbers and tensors can")


def _from_scalar(value: Any) -> Any:
    if isinstance(value, dict):
        return torch.tensor(value["value"], dtype=getattr(torch, value["dtype"]))
    return value
