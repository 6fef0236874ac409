"""The optimizer of a run: of what the precision lets it change, in the parts that the layout gives each process."""

import torch

from seqexp.config.build import build
from seqexp.distributed.base import Layout
from seqexp.models.base import Model
from seqexp.optimizers.base import OptimizerConfig, trains_other_weights
from seqexp.optimizers.parameter_groups import Group, parameter_groups
from seqexp.precisions.base import Precision
from seqexp.runtime.errors import UserError


def make_optimizer(
    config: OptimizerConfig, model: Model, layout: Layout, precision: Precision
) -> torch.optim.Optimizer:
    """The optimizer of a model that is wrapped; to be called once for a precision.

    Raises:
        UserError: layout or precision cannot have it.
    """
    groups = groups_of_masters(config, model, precision)
    optimizer = layout.make_optimizer(lambda groups: build(config, params=groups), groups)
    own = layout.own_optimizer(optimizer)
    if trains_other_weights(own):
        averages = f"{type(config).__name__.removesuffix('Config')} averages weights"
        if own is not optimizer:
            raise UserError(f"{averages}, of which each process would have a part: use distributed=ddp or fsdp")
        if layout.makes_own_updates:
            raise UserError(f"{averages}, and so does distributed=local_sgd: use distributed=ddp")
        if any(precision.master(weight) is not weight for weight in model.parameters()):
            raise UserError(f"{averages}, and with precision=bf16_master the model has others: use precision=bf16")
    return optimizer


def groups_of_masters(config: OptimizerConfig, model: Model, precision: Precision) -> list[Group]:
    """What an optimizer is made of; to be called once for a precision."""
    precision.masters([weight for weight in model.parameters() if weight.requires_grad])
    groups = parameter_groups(model, config)
    return [{**group, "params": [precision.master(weight) for weight in group["params"]]} for group in groups]
