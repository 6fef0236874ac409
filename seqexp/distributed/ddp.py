"""Data parallelism: each process has the whole model, and gradients are averaged (Li et al. 2020, arXiv 2006.15704)."""

import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seqexp.config.base import require
from seqexp.distributed.base import Layout, ProcessesConfig
from seqexp.distributed.world import World
from seqexp.runtime.errors import UserError

logger = logging.getLogger(__name__)

_SYNCHRONISE_BUFFERS = next(
    name
    for name in ("forward_sync_buffers", "broadcast_buffers")
    if name in signature(DistributedDataParallel).parameters
)
"""The option's name since torch 2.13, and before."""


FIRST_COMPRESSED = 2
"""Backward passes that PowerSGD leaves alone: in the second, torch arranges gradients anew."""


class Hook(StrEnum):
    """In which form gradients travel between processes; all but `none` change the result."""

    none = "none"
    """As they are."""
    fp16 = "fp16"
    """In half of the bits; large gradients overflow."""
    bf16 = "bf16"
    """In half of the bits, with the range of float32; on GPUs only."""
    powersgd = "powersgd"
    """As products of two thin matrices (Vogels et al. 2019, arXiv 1905.13727)."""


@dataclass
class CommunicationConfig:
    """What is done to gradients on their way. It belongs to the run's identity: it changes the result."""

    hook: Hook = Hook.none
    """`none`; `fp16` and `bf16`: half of the traffic, and rounded gradients; `powersgd`: a low-rank approximation of
    each matrix, where that has less than half of its numbers. What it leaves out comes with the next update. That
    memory is bound to how torch arranges gradients, so it is not saved: a run that is resumed begins anew with it, and
    does not end exactly as if it had not been interrupted."""
    matrix_approximation_rank: int = 1
    """With `powersgd`: of the approximation."""
    start_update: int = 1000
    """With `powersgd`: so many updates long gradients travel as they are. The first two after a start always do."""

    def __post_init__(self) -> None:
        rank = self.matrix_approximation_rank
        require(rank > 0, "matrix_approximation_rank", rank, "a count above 0")
        require(self.start_update >= 0, "start_update", self.start_update, "a count from 0")


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
        self._power_sgd: Any = None
        """torch's PowerSGDState, where that is the hook."""

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
            self._register(wrapped, config.communication)
        return wrapped

    def _register(self, wrapped: DistributedDataParallel, communication: CommunicationConfig) -> None:
        from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook  # takes a second

        if communication.hook is not Hook.powersgd:
            wrapped.register_comm_hook(None, getattr(default_hooks, f"{communication.hook}_compress_hook"))
            return
        self._power_sgd = powerSGD_hook.PowerSGDState(
            None,
            matrix_approximation_rank=communication.matrix_approximation_rank,
            start_powerSGD_iter=FIRST_COMPRESSED,
            orthogonalization_epsilon=1e-8,  # or a gradient of lower rank, of unused embeddings say, would divide by 0
        )
        wrapped.register_comm_hook(self._power_sgd, powerSGD_hook.powerSGD_hook)

    def begin_update(self, update: int, optimizer: torch.optim.Optimizer) -> None:
        if self._power_sgd is not None:
            compresses = update >= self.config.communication.start_update
            self._power_sgd.start_powerSGD_iter = FIRST_COMPRESSED if compresses else sys.maxsize

    def dropped(self) -> None:
        if self._power_sgd is not None:  # what it remembers is not finite either
            self._forget()

    def restored(
        self,
        num_updates: int,
        optimizer: torch.optim.Optimizer,
        state: Mapping[nn.Parameter, Mapping[str, Tensor]],
        *,
        own_state: bool,
        own_weights: bool,
    ) -> None:
        if self._power_sgd is not None:
            self._forget()
            compresses = num_updates + FIRST_COMPRESSED > self.config.communication.start_update
            if compresses and self.world.is_first:
                logger.warning(
                    "distributed.communication.hook=powersgd has lost what it left out before update %d: the result "
                    "is not exactly that of a run that was not interrupted",
                    num_updates,
                )

    def _forget(self) -> None:
        for remembered in ("error_dict", "p_memory_dict", "q_memory_dict"):
            getattr(self._power_sgd, remembered).clear()

    def micro_batch(self, module: nn.Module, *, is_last: bool) -> AbstractContextManager[Any]:
        if is_last or not isinstance(module, DistributedDataParallel):
            return nullcontext()
        no_sync: AbstractContextManager[Any] = module.no_sync()
        return no_sync
