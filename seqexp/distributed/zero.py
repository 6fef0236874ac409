"""ZeRO, stage 1: data parallelism in which every process keeps the optimizer's state of a part of the weights only
(Rajbhandari et al. 2020, arXiv 1910.02054)."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from seqexp.distributed.ddp import DDP, DDPConfig
from seqexp.distributed.world import World

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # torch's package uses torch.jit.script, which torch deprecates
    from torch.distributed.optim import ZeroRedundancyOptimizer


@dataclass
class ZeROConfig(DDPConfig):
    """`ddp` in which the optimizer's state is shared out over the processes. Checkpoints are those of any layout, so a
    run may go on in another layout or with another number of processes."""

    _target_: str = "seqexp.distributed.zero.ZeRO"


class ZeRO(DDP):
    """torch's ZeroRedundancyOptimizer around the usual one. Each process writes its part of the state."""

    def __init__(self, config: DDPConfig, *, world: World) -> None:
        super().__init__(config, world=world)
        self.all_write = world.size > 1

    def make_optimizer(
        self, make: Callable[[Any], torch.optim.Optimizer], groups: list[dict[str, Any]]
    ) -> torch.optim.Optimizer:
        if self.world.size == 1:
            return make(groups)

        def local(own_groups: Any) -> torch.optim.Optimizer:
            return make(own_groups)

        return ZeroRedundancyOptimizer(groups, local)  # type: ignore[arg-type]

    def own_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        return optimizer.optim if isinstance(optimizer, ZeroRedundancyOptimizer) else optimizer
