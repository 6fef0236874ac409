"""Data parallelism: each process has the whole model, and gradients are averaged (Li et al. 2020, arXiv 2006.15704)."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from seqexp.config.base import require
from seqexp.distributed.base import Layout, ProcessesConfig
from seqexp.distributed.world import World
from seqexp.runtime.errors import UserError

_SYNCHRONISE_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in signature(DistributedDataParallel).parameters
)
"""The option's name since torch 2.13, and before."""


class Hook(StrEnum):
    """In which form gradients travel between processes; all but `none` change the result."""

    none = "none"
    """As they are."""
    fp16 = "fp16"
    """In half of the bits; large gradients overflow."""
    bf16 = "bf16"
    """In half of the bits, with the range of float32; on GPUs only."""


@dataclass
class CommunicationConfig:
    """What is done to gradients on their way. It belongs to the run's identity: it changes the result."""

    hook: Hook = Hook.none
    """`none`, or `fp16` and `bf16`: half of the traffic, and rounded gradients."""


@dataclass
class DDPConfig(ProcessesConfig):
    """Every process has the whole model and computes its share of an update's micro-batches; gradients are averaged
    while the last backward pass still runs."""

    _target_: str = "seqexp.distributed.ddp.DDP"
    bucket_cap_mb: float = 25.0
    """Megabytes of gradients that travel together."""
    static_graph: bool = False
    """The model uses the same parameters in every micro-batch, and torch may rely on it."""
    find_unused_parameters: bool = False
    """Look for parameters that a micro-batch does not use; without it such a parameter is an error. It costs a walk
    over the graph in every update. Needed with `layerdrop`, say."""
    gradient_as_bucket_view: bool = True
    """Gradients live in the buffers that travel: it saves memory of the size of the model."""
    communication: CommunicationConfig = field(default_factory=CommunicationConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.bucket_cap_mb > 0, "bucket_cap_mb", self.bucket_cap_mb, "a number above 0")
        require(
            not (self.static_graph and self.find_unused_parameters),
            "static_graph",
            self.static_graph,
            "it rules out distributed.find_unused_parameters=true",
        )


class _Wrapped(DistributedDataParallel):
    """With one line for the mistake that torch tells in many."""

    def forward(self, *inputs: Any, **options: Any) -> Any:
        try:
            return super().forward(*inputs, **options)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if "find_unused_parameters=True" not in str(error):
                raise
            raise UserError(
                "not every micro-batch uses all parameters of the model (layerdrop, say): give "
                "distributed.find_unused_parameters=true"
            ) from error


class DDP(Layout):
    """torch's DistributedDataParallel; of one process alone, nothing."""

    def __init__(self, config: DDPConfig, *, world: World) -> None:
        super().__init__(config, world=world)
        self.config = config
        hook = config.communication.hook
        suits = hook is not Hook.bf16 or world.device.type == "cuda"
        require(suits, "distributed.communication.hook", hook, "it needs GPUs; fp16 works on a CPU too")

    @property
    def num_averaged(self) -> int:
        return self.world.size

    def wrap(
        self, module: nn.Module, *, blocks: Sequence[nn.Module] = (), product_dtype: torch.dtype | None = None
    ) -> nn.Module:
        if self.world.size == 1:
            return module
        config, device = self.config, self.world.device
        unsynchronised: dict[str, Any] = {_SYNCHRONISE_BUFFERS: False}
        wrapped = _Wrapped(
            module,
            device_ids=[device] if device.type == "cuda" else None,
            bucket_cap_mb=config.bucket_cap_mb,
            static_graph=config.static_graph,
            find_unused_parameters=config.find_unused_parameters,
            gradient_as_bucket_view=config.gradient_as_bucket_view,
            # Buffers are tables that all processes compute alike; sending them would cost every forward pass.
            **unsynchronised,
        )
        if config.communication.hook is not Hook.none:
            from torch.distributed.algorithms.ddp_comm_hooks import default_hooks  # takes a second

            hook = getattr(default_hooks, f"{config.communication.hook}_compress_hook")
            wrapped.register_comm_hook(None, hook)
        return wrapped

    def micro_batch(self, module: nn.Module, *, is_last: bool) -> AbstractContextManager[Any]:
        if is_last or not isinstance(module, DistributedDataParallel):
            return nullcontext()
        no_sync: AbstractContextManager[Any] = module.no_sync()
        return no_sync
