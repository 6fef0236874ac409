"""One process."""

from dataclasses import dataclass

import torch

from seqexp.distributed.base import DistributedConfig


@dataclass
class SingleConfig(DistributedConfig):
    """All the work in one process."""

    _target_: str = "seqexp.distributed.single.Single"


class Single:
    """The layout of a run with one process."""

    def __init__(self, config: SingleConfig) -> None:
        self.device: torch.device = config.device.resolve()
