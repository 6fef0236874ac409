"""Fully sharded data parallelism: every process keeps its rows of the weights, of their gradients and of the
optimizer's state, and gets the rest of a block when it computes it (Zhao et al. 2023, arXiv 2304.11277)."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate

from seqexp.distributed.base import Layout, Module, ProcessesConfig, norm_of
from seqexp.distributed.tensors import is_shared_out, of_rows, own_rows, whole
from seqexp.distributed.world import World
from seqexp.runtime.errors import UserError


class WeightFormat(StrEnum):
    """In which form weights come together; all but `stored` change the result."""

    stored = "stored"
    """As they are kept."""
    precision = "precision"
    """In the format in which `precision` computes products: half of the traffic and memory where that has 16 bits."""


class GradientFormat(StrEnum):
    """In which form gradients are added up."""

    float32 = "float32"
    """In 32 bits at least."""
    weights = "weights"
    """In the form in which the weights came together."""


@dataclass
class FSDPCommunicationConfig:
    """What is done to weights and gradients on their way. It belongs to the run's identity: it changes the result."""

    weights: WeightFormat = WeightFormat.stored
    """`stored`: as they are kept, so that the result is that of `ddp`. `precision`: in the 16 bits in which `bf16` or
    `fp16` compute products, which takes half of the traffic and of the memory; norms and embeddings are rounded too."""
    gradients: GradientFormat = GradientFormat.float32
    """In which form gradients are added up: `float32`, or that of the `weights`."""


@dataclass
class FSDPConfig(ProcessesConfig):
    """Every process keeps a part of weights, gradients and optimizer state, and a block of the model is put together
    where it is computed. Each process writes its part of a checkpoint, and any layout reads all of it."""

    _target_: str = "seqexp.distributed.fsdp.FSDP"
    reshard_after_forward: bool = True
    """A block's weights are given up after its forward pass, and put together again for the backward pass; false: kept
    in between, which saves a third of the traffic and takes memory for the whole model."""
    cpu_offload: bool = False
    """Keep what a process has of weights and optimizer state in the machine's memory, where the optimizer then works;
    blocks come to the GPU when they are computed. Slow; for models that fit in no other way."""
    communication: FSDPCommunicationConfig = field(default_factory=FSDPCommunicationConfig)


class FSDP(Layout):
    """torch's `fully_shard`, once for each block of the model and once for the rest; of one process alone, nothing.

    All processes build the whole model in the machine's memory, from one seed, and a GPU gets its part block by block.
    """

    def __init__(self, config: FSDPConfig, *, world: World) -> None:
        super().__init__(config, world=world)
        self.config = config
        self.in_step = self.all_write = world.size > 1
        if world.size == 1 and config.cpu_offload:
            raise UserError("distributed.cpu_offload=true needs several processes: this is one")
        self._wrapped: nn.Module | None = None
        self._hollow: nn.Module | None = None
        """The same without weights and without what `fully_shard` adds."""

    def place(self, model: Module) -> Module:
        return super().place(model) if self.world.size == 1 else model

    def wrap(
        self, module: nn.Module, *, blocks: Sequence[nn.Module] = (), product_dtype: torch.dtype | None = None
    ) -> nn.Module:
        if self.world.size == 1:
            return module
        self._wrapped, self._hollow = module, _without_weights(module)
        config, is_cuda = self.config, self.device.type == "cuda"
        options: dict[str, Any] = {
            "mesh": init_device_mesh(self.device.type, (self.world.size,)),
            "mp_policy": _policy(config.communication, module, product_dtype),
            "offload_policy": CPUOffloadPolicy(pin_memory=is_cuda) if config.cpu_offload else OffloadPolicy(),
        }
        for block in blocks:
            fully_shard(block, reshard_after_forward=config.reshard_after_forward, **options)
        fully_shard(module, reshard_after_forward=False, **options)
        for each in module.modules():
            if isinstance(each, FSDPModule):
                # The sum, as each process' gradient is divided by the targets of all.
                each.set_gradient_divide_factor(1.0)
                each.set_force_sum_reduction_for_comms(True)
        return module

    def micro_batch(self, module: nn.Module, *, is_last: bool) -> AbstractContextManager[Any]:
        if isinstance(module, FSDPModule):
            module.set_requires_gradient_sync(is_last)
        return nullcontext()

    @contextmanager
    def evaluated(self, model: Module) -> Iterator[Module]:
        if self._wrapped is None or self._hollow is None:
            yield model
            return
        place = next(name for name, part in self._wrapped.named_modules() if part is model)
        hollow = self._hollow.get_submodule(place)
        empty = hollow.state_dict()
        hollow.load_state_dict(self._whole(model), assign=True)
        try:
            yield cast(Module, hollow.train(model.training))
        finally:
            hollow.load_state_dict(empty, assign=True)

    @torch.no_grad()
    def _whole(self, model: nn.Module) -> dict[str, Tensor]:
        """The state dict on the device; a tied weight comes together once."""
        found: dict[int, Tensor] = {}
        state = model.state_dict(keep_vars=True)
        for tensor in state.values():
            if id(tensor) not in found:
                found[id(tensor)] = self.gathered(tensor.detach())
        return {name: found[id(tensor)] for name, tensor in state.items()}

    def gathered(self, tensor: Tensor) -> Tensor:
        return whole(tensor.to(self.device))

    def gradient_norm(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        if self.world.size == 1:
            return super().gradient_norm(parameters)
        own = norm_of([_local(parameter.grad) for parameter in parameters if parameter.grad is not None])
        squares = own.double().square()
        distributed.all_reduce(squares)
        return squares.sqrt().to(own.dtype)

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float, norm: Tensor) -> None:
        parameters = list(parameters)
        mesh = next((p.device_mesh for p in parameters if isinstance(p, DTensor)), None)
        if mesh is not None:
            norm = DTensor.from_local(norm, mesh, [Replicate()], run_check=False)
        super().clip(parameters, max_norm, norm)

    def rows(self, tensor: Tensor) -> tuple[Tensor, int]:
        return own_rows(tensor)

    def with_rows(self, like: Tensor, read: Callable[..., Tensor]) -> Tensor:
        if not is_shared_out(like):
            return read()
        held, first = own_rows(like)
        return of_rows(read(first, first + len(held)) if len(held) else torch.empty_like(held), like)

    def require_equal_weights(self, module: nn.Module) -> None:
        """Nothing is there twice."""


def _without_weights(module: nn.Module) -> nn.Module:
    """A copy whose parameters take no memory; it shares the buffers."""
    memory: dict[int, Any] = {id(buffer): buffer for buffer in module.buffers()}
    for parameter in module.parameters():
        empty = torch.empty_like(parameter, device="meta")
        memory[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
    return copy.deepcopy(module, memory)


def _policy(
    config: FSDPCommunicationConfig, module: nn.Module, product_dtype: torch.dtype | None
) -> MixedPrecisionPolicy:
    gathered = product_dtype if config.weights is WeightFormat.precision else None
    computed = gathered or next(module.parameters()).dtype
    added = torch.promote_types(computed, torch.float32) if config.gradients is GradientFormat.float32 else None
    return MixedPrecisionPolicy(gathered, added, cast_forward_inputs=gathered is not None)


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
