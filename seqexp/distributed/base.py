"""How many processes share a run's work, on which device each of them works, and what each of them holds."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seqexp.config.base import ComponentConfig, OptionError, require
from seqexp.distributed.world import World

Module = TypeVar("Module", bound=nn.Module)


class Device(StrEnum):
    """Where tensors live; `auto` takes a GPU where there is one."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"

    def resolve(self) -> torch.device:
        """The torch device.

        Raises:
            OptionError: `cuda` was asked for and there is no GPU.
        """
        available = torch.cuda.is_available()
        if self is Device.cuda and not available:
            raise OptionError("distributed.device=cuda: torch sees no GPU here; use cpu or auto")
        return torch.device("cuda" if available and self is not Device.cpu else "cpu")


@dataclass
class DistributedConfig(ComponentConfig):
    """Base of all layouts' configs."""

    device: Device = Device.auto
    """Where to compute; `auto` takes a GPU where there is one."""


@dataclass
class ProcessesConfig(DistributedConfig):
    """Base of the layouts of several processes. torchrun and srun say how many there are; otherwise the command starts
    them itself."""

    num_processes: int | None = None
    """Processes that the command starts on this machine; null: one for each GPU, or one on a CPU. Under torchrun or
    srun leave it null."""
    timeout_seconds: float = 60.0
    """The job ends when a process gives no sign of life for so long, or lets the others wait so long in an update."""
    alone_timeout_seconds: float = 3600.0
    """The same where processes work by themselves: reading data, saving, a batch of a validation. (A validation may
    last as long as it likes, as long as one batch after the other is done.)"""

    def __post_init__(self) -> None:
        require(
            self.num_processes is None or self.num_processes > 0,
            "num_processes",
            self.num_processes,
            "a count above 0, or null for one for each GPU",
        )
        for name in ("timeout_seconds", "alone_timeout_seconds"):
            require(getattr(self, name) > 0, name, getattr(self, name), "a number above 0")


class Layout:
    """What one process holds of model and optimizer, and how gradients meet. As it stands here: all of it, alone.

    What is wrapped is one module whose forward pass computes the loss of a micro-batch, so that the hooks of DDP and
    its like see everything that has parameters.
    """

    def __init__(self, config: DistributedConfig, *, world: World) -> None:
        self.world = world
        self.device = world.device

    all_write = False
    """All processes write checkpoints together, each what it holds; otherwise the first does."""
    in_step = False
    """Processes meet in forward passes already, so that all make equally many."""
    makes_own_updates = False
    """Processes make updates of their own, always or from some update on, and their weights meet every now and then."""

    @property
    def num_averaged(self) -> int:
        """Over how many processes gradients are averaged, where their sum is wanted."""
        return 1

    def place(self, model: Module) -> Module:
        """A new model, where it is to be; `wrap` may do the rest."""
        return model.to(self.device)

    def wrap(
        self, module: nn.Module, *, blocks: Sequence[nn.Module] = (), product_dtype: torch.dtype | None = None
    ) -> nn.Module:
        """The module as it is to be called in training; to be done before the optimizer is made, as it may change the
        parameters of the model in it.

        Args:
            blocks: the repeated layers in it.
            product_dtype: in which the precision computes products, if that is not the format of the weights.
        """
        return module

    @contextmanager
    def evaluated(self, model: Module) -> Iterator[Module]:
        """Context that gives a model with all weights, whose forward passes need no other process: as many as each one
        likes. All processes enter and leave together."""
        yield model

    def micro_batch(self, module: nn.Module, *, is_last: bool) -> AbstractContextManager[Any]:
        """What forward and backward of a micro-batch run in; with the last of an update, gradients meet."""
        return nullcontext()

    @property
    def is_local(self) -> bool:
        """Whether the present update, or the next, is each process' own: its loss and gradient are those of its
        share."""
        return False

    @property
    def has_own_weights(self) -> bool:
        """Whether processes have different weights now."""
        return False

    @property
    def has_own_state(self) -> bool:
        """Whether processes have optimizer states of their own now, and perhaps weights."""
        return False

    def begin_update(self, update: int, optimizer: torch.optim.Optimizer) -> None:
        """Told which update, from 0, is tried now."""

    def agreed(self, holds: bool) -> bool:
        """Whether something that concerns loss and gradient of an update holds in all processes; where these are the
        same, they know already."""
        return holds

    def updated(self, optimizer: torch.optim.Optimizer) -> None:
        """Told that the optimizer has made the update; may change the weights that it trains."""

    def dropped(self) -> None:
        """Told that the update was not made, since loss or gradient is not finite."""

    def average(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """New tensors, the means of those of all processes; all processes call it."""
        return list(tensors)

    def shared_state(self, optimizer: torch.optim.Optimizer) -> Mapping[nn.Parameter, Mapping[str, Tensor]]:
        """What resuming needs besides, the same in all processes: by what the optimizer changes, tensors of its shape
        by their keys."""
        return {}

    def restored(
        self,
        num_updates: int,
        optimizer: torch.optim.Optimizer,
        state: Mapping[nn.Parameter, Mapping[str, Tensor]],
        *,
        own_state: bool,
        own_weights: bool,
    ) -> None:
        """Told that weights and optimizer are those of a checkpoint after so many updates.

        Args:
            state: that `shared_state` gave, empty where it gave none.
            own_state: `has_own_state` when it was saved.
            own_weights: `has_own_weights` when it was saved.
        """

    def make_optimizer(
        self, make: Callable[[Any], torch.optim.Optimizer], groups: list[dict[str, Any]]
    ) -> torch.optim.Optimizer:
        """An optimizer of these groups of parameters; `make` makes one of those that it is given."""
        return make(groups)

    def gradient_norm(self, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Euclidean norm of the whole gradient, a scalar, the same in all processes."""
        return gradient_norm(parameters)

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float, norm: Tensor) -> None:
        """Scale the gradient, whose norm is known, down to `max_norm`."""
        nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)

    def own_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """What of an optimizer keeps the state that this process has."""
        return optimizer

    def rows(self, tensor: Tensor) -> tuple[Tensor, int]:
        """What this process holds of a tensor of weights, or of the optimizer's state: rows along dimension 0, and the
        number of the first. They share their memory with the tensor."""
        return tensor, 0

    def with_rows(self, like: Tensor, read: Callable[..., Tensor]) -> Tensor:
        """A tensor distributed as another one.

        Args:
            read: gives the rows from one number to before another, or all of them if it is given none.
        """
        return read()

    def gathered(self, tensor: Tensor) -> Tensor:
        """The whole of a tensor of weights, where this process computes; all processes call it."""
        return tensor

    def require_equal_weights(self, module: nn.Module) -> None:
        """
        Raises:
            ProcessError: a process has other weights than the first.
        """
        if self.world.size > 1:  # to look at every weight takes a while
            self.world.require_equal(fingerprint(module.parameters()), "weights")


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together, computed in at least float32 whatever their own format; a scalar."""
    return norm_of([parameter.grad for parameter in parameters if parameter.grad is not None])


def norm_of(gradients: Sequence[Tensor]) -> Tensor:
    """`gradient_norm` of these."""
    kinds = [torch.promote_types(gradient.dtype, torch.float32) for gradient in gradients]
    norms = [torch.linalg.vector_norm(g, dtype=kind) for g, kind in zip(gradients, kinds, strict=True)]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())


@torch.no_grad()
def fingerprint(tensors: Iterable[Tensor]) -> int:
    """A number that differs where one bit does. Of whole numbers, whose sum no device computes in another order."""
    integers = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    found = 0
    for tensor in tensors:
        bits = tensor.detach().contiguous().view(integers[tensor.element_size()])
        found = (found * 1_000_003 + int(bits.sum(dtype=torch.int64))) % 2**63
    return found
