"""AdamW with its state in 8 bits (Dettmers et al., 2022, arXiv 2110.02861), bitsandbytes' implementation."""

from dataclasses import dataclass

import torch

from seqexp.config.build import arguments
from seqexp.optimizers.adam import AdamBaseConfig
from seqexp.optimizers.rule import Params
from seqexp.runtime.extras import import_extra


@dataclass
class AdamW8bitConfig(AdamBaseConfig):
    """A quarter of AdamW's memory; needs the extra `bitsandbytes`. Parameters of fewer than `min_8bit_size`
    elements keep a state of 32 bits."""

    _target_: str = "seqexp.optimizers.adamw_8bit.adamw_8bit"
    weight_decay: float = 0.01
    min_8bit_size: int = 4096
    """Elements of a parameter from which its state has 8 bits."""


def adamw_8bit(config: AdamW8bitConfig, *, params: Params) -> torch.optim.Optimizer:
    """
    Raises:
        UserError: bitsandbytes is not installed.
    """
    bitsandbytes = import_extra("bitsandbytes", "bitsandbytes")
    optimizer: torch.optim.Optimizer = bitsandbytes.optim.AdamW8bit(params, **arguments(config))
    return optimizer
