"""How many processes share a run's work, and on which device each of them works."""

from dataclasses import dataclass
from enum import StrEnum

import torch

from seqexp.config.base import ComponentConfig


class Device(StrEnum):
    """Where tensors live; `auto` takes a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"

    def resolve(self) -> torch.device:
        """The torch device.

        Raises:
            ValueError: `cuda` was asked for and there is no GPU.
        """
        available = torch.cuda.is_available()
        if self is Device.cuda and not available:
            raise ValueError("distributed.device=cuda: torch sees no GPU here; use cpu or auto")
        return torch.device("cuda" if available and self is not Device.cpu else "cpu")


@dataclass
class DistributedConfig(ComponentConfig):
    """Base of all layouts' configs."""

    device: Device = Device.auto
    """Where to compute; `auto` takes a GPU where there is one."""
