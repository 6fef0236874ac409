"""The parameters of a model as the groups that an optimizer is given."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from seqexp.optimizers.base import OptimizerConfig, ParameterGroupConfig, SingleOptimizerConfig
from seqexp.optimizers.selection import KINDS, select
from seqexp.runtime.errors import UserError

Group = dict[str, Any]
"""As torch's optimizers take them: `params`; options that differ from the optimizer's, such as `weight_decay`; and in a
composite the `name` of the group that has an optimizer and a rate of its own."""


def parameter_groups(model: nn.Module, config: OptimizerConfig) -> list[Group]:
    """What `build(config, params=...)` takes: every parameter that is trained, once.

    Raises:
        UserError: a pattern of `no_decay` or of a group matches nothing, or a parameter is in no group or in two.
    """
    named = {parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad}
    groups = config.groups_of_parameters()
    if isinstance(config, SingleOptimizerConfig):
        return _by_decay(model, named, config, "optimizer")
    if not groups:
        raise UserError("optimizer.groups is empty: a preset names the groups, as conf/optimizer/muon.yaml does")
    found = []
    for name, members in _shared_out(model, named, groups).items():
        option = f"optimizer.groups.{name}.optimizer"
        found += [{"name": name, **group} for group in _by_decay(model, members, groups[name].optimizer, option)]
    return found


def _shared_out(
    model: nn.Module, named: Mapping[nn.Parameter, str], groups: Mapping[str, ParameterGroupConfig]
) -> dict[str, dict[nn.Parameter, str]]:
    """The parameters of each group, the groups in the order of their names: that of a config means nothing."""
    selected = {
        name: select(model, group.parameters, f"optimizer.groups.{name}.parameters")
        for name, group in sorted(groups.items())
        if group.parameters is not None
    }
    rest = sorted(set(groups) - set(selected))
    if len(rest) > 1:
        raise UserError(f"optimizer.groups: {' and '.join(rest)} have no `parameters`; only one can have all the rest")
    members: dict[str, dict[nn.Parameter, str]] = {name: {} for name in sorted(groups)}
    for parameter, parameter_name in named.items():
        of = [name for name, chosen in selected.items() if parameter in chosen] or rest
        if len(of) != 1:
            what = (
                f"is in {' and in '.join(of)}" if of else "is in none; a group without `parameters` takes all the rest"
            )
            raise UserError(f"optimizer.groups: {parameter_name} {what}")
        members[of[0]][parameter] = parameter_name
    for name, found in members.items():
        if not found:
            raise UserError(f"optimizer.groups.{name}: no parameter that is trained is in it")
    return members


def _by_decay(
    model: nn.Module, named: Mapping[nn.Parameter, str], config: SingleOptimizerConfig, option: str
) -> list[Group]:
    """One group, or one with and one without weight decay."""
    undecayed = select(model, config.no_decay, f"{option}.no_decay")
    for pattern in config.no_decay:
        if pattern not in KINDS and named.keys().isdisjoint(select(model, [pattern], option)):
            raise UserError(f"{option}.no_decay={pattern} matches none of the parameters that are trained there")
    parts: list[tuple[dict[nn.Parameter, str], dict[str, Any]]] = [
        ({p: name for p, name in named.items() if p not in undecayed}, {}),
        ({p: name for p, name in named.items() if p in undecayed}, {"weight_decay": 0.0}),
    ]
    return [{"params": list(part), **options} for part, options in parts if part]
