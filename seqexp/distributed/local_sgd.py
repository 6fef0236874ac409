"""Processes that make updates of their own, and average their weights every now and then.

Local SGD (Stich 2019, arXiv 1805.09767), after updates in which gradients are averaged: post-local SGD (Lin et al.
2020, arXiv 1808.07217); with an outer optimizer, which takes the change of the average as a gradient: SlowMo (Wang et
al. 2020, arXiv 1910.00643), BMUF (Chen and Huo 2016, doi 10.1109/ICASSP.2016.7472805).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, distributed, nn

from seqexp.config.base import require
from seqexp.distributed.base import Layout, ProcessesConfig
from seqexp.distributed.world import World
from seqexp.runtime.errors import UserError

OuterState = Mapping[nn.Parameter, Mapping[str, Tensor]]


@dataclass
class LocalSGDConfig(ProcessesConfig):
    """Every process has the whole model and makes updates of its own, with its share of an update's micro-batches;
    every `period` updates the weights are averaged. It is another algorithm than that of `ddp`, whose result depends on
    the number of processes: options and number belong to the run's identity.

    `local_sgd` is plain averaging. `slowmo` and `bmuf` are the same with fairseq's values: a momentum on what the
    average changes from one averaging to the next. The state of the optimizer stays each process' own. (In fairseq's
    warm-up of BMUF processes train apart too, and then take the weights of the first; here gradients are averaged.)
    """

    _target_: str = "seqexp.distributed.local_sgd.LocalSGD"
    period: int = 8
    """Updates from one averaging to the next."""
    start_update: int = 0
    """So many updates long gradients are averaged, as with `ddp`, and weights are the same everywhere."""
    lr: float = 1.0
    """The change is multiplied by it: the slow learning rate of SlowMo, the block learning rate of BMUF."""
    momentum: float | None = 0.0
    """Of the changes: slow momentum, block momentum. 0 and `lr=1`: the average as it is. null: what fairseq's SlowMo
    takes by the number of processes, 0 up to 16, 0.2 up to 32, 0.5 up to 64, otherwise 0.6."""
    nesterov: bool = False
    """Look ahead by the momentum: Chen and Huo's Nesterov block momentum. (fairseq's `use_nbm` keeps what it has looked
    ahead, which is `lr` times 1 + momentum without it.)"""
    divide_by_lr: bool = False
    """Keep the momentum of the change divided by the learning rate of the update before the averaging, as SlowMo does,
    so that it fits the next one where a schedule changes that."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.period > 0, "period", self.period, "a count above 0")
        require(self.start_update >= 0, "start_update", self.start_update, "a count from 0")
        require(self.lr > 0, "lr", self.lr, "a number above 0")
        momentum = self.momentum
        require(momentum is None or 0 <= momentum < 1, "momentum", momentum, "from 0 to below 1, or null")
        require(not self.nesterov or momentum != 0, "nesterov", self.nesterov, "it needs a momentum above 0")

    def momentum_of(self, num_processes: int) -> float:
        if self.momentum is not None:
            return self.momentum
        limits = {16: 0.0, 32: 0.2, 64: 0.5}
        return next((value for limit, value in limits.items() if num_processes <= limit), 0.6)


class LocalSGD(Layout):
    """Own updates from `start_update` on, and averages of weights."""

    def __init__(self, config: LocalSGDConfig, *, world: World) -> None:
        super().__init__(config, world=world)
        self.config = config
        self.makes_own_updates = self.all_write = world.size > 1
        self._momentum = config.momentum_of(world.size)
        self._num_updates = 0
        """That were made."""
        self._has_own_state = self._has_own_weights = False
        self._outer: OuterOptimizer | None = None

    @property
    def is_local(self) -> bool:
        return self.makes_own_updates and self._num_updates >= self.config.start_update

    @property
    def has_own_state(self) -> bool:
        return self._has_own_state

    @property
    def has_own_weights(self) -> bool:
        return self._has_own_weights

    @property
    def _is_plain(self) -> bool:
        return self._momentum == 0 and self.config.lr == 1

    def begin_update(self, update: int, optimizer: torch.optim.Optimizer) -> None:
        self._num_updates = update
        if update >= self.config.start_update and self._outer is None and not self._is_plain:
            # They differ where a run goes on from the middle of a period of one that had no outer optimizer.
            weights = _trained(optimizer)
            self._outer = self._make_outer(optimizer, self.average(weights) if self.has_own_weights else weights)

    @contextmanager
    def micro_batch(self, module: nn.Module, *, is_last: bool) -> Iterator[None]:
        yield
        if is_last and self.world.size > 1 and not self.is_local:
            _add_gradients([parameter for parameter in module.parameters() if parameter.requires_grad])

    def agreed(self, holds: bool) -> bool:
        return self.world.sum([float(not holds)]) == [0.0] if self.is_local else holds

    @torch.no_grad()
    def updated(self, optimizer: torch.optim.Optimizer) -> None:
        if self.is_local:
            self._has_own_state = self._has_own_weights = True
        self._num_updates += 1
        since = self._num_updates - self.config.start_update
        if since <= 0 or since % self.config.period:
            return
        self._has_own_weights = False
        weights = _trained(optimizer)
        means = self.average(weights) if self.world.size > 1 else weights
        if self._outer is not None:
            means = self._outer.step(means, [group["lr"] for group in optimizer.param_groups])
        for weight, mean in zip(weights, means, strict=True):
            weight.copy_(mean)

    def average(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [(total / self.world.size).to(own.dtype) for total, own in zip(_sums(tensors), tensors, strict=True)]

    def shared_state(self, optimizer: torch.optim.Optimizer) -> OuterState:
        if self._outer is None:
            return {}
        return dict(zip(_trained(optimizer), self._outer.state(), strict=True))

    def restored(
        self,
        num_updates: int,
        optimizer: torch.optim.Optimizer,
        state: OuterState,
        *,
        own_state: bool,
        own_weights: bool,
    ) -> None:
        """
        Raises:
            UserError: gradients were to be averaged, and the processes train apart already.
        """
        self._num_updates, self._outer = num_updates, None
        self._has_own_state, self._has_own_weights = own_state, own_weights
        start = self.config.start_update
        if own_state and start > num_updates:
            raise UserError(
                f"distributed.start_update={start} is not valid: processes have trained apart already after update "
                f"{num_updates}, so at most that"
            )
        if state and not self._is_plain:
            weights = _trained(optimizer)
            self._outer = self._make_outer(optimizer, [state[weight]["anchor"].to(weight) for weight in weights])
            self._outer.load([state[weight] for weight in weights])

    def require_equal_weights(self, module: nn.Module) -> None:
        if not self.has_own_weights:
            super().require_equal_weights(module)

    def _make_outer(self, optimizer: torch.optim.Optimizer, anchors: Sequence[Tensor]) -> "OuterOptimizer":
        sizes = [len(group["params"]) for group in optimizer.param_groups]
        return OuterOptimizer(self.config, self._momentum, anchors, sizes)


class OuterOptimizer:
    """SGD on the change of the averages, the same in all processes. With anchor x (the weights after the averaging
    before), average a, learning rate g of the inner optimizer (1 without `divide_by_lr`):

        d = (x - a) / g;  u = momentum * u + d;  x = x - lr * g * u, with Nesterov x - lr * g * (d + momentum * u)

    With `divide_by_lr`, it is SlowMo (Wang et al., algorithm 1). Without, it is BMUF (Chen and Huo, equations 5 to 8),
    whose smoothed change is -lr * u, with classical momentum or with Nesterov's, for which x is what they call the
    initial model of the next block.
    """

    def __init__(
        self, config: LocalSGDConfig, momentum: float, anchors: Sequence[Tensor], group_sizes: Sequence[int]
    ) -> None:
        """
        Args:
            anchors: weights of all parameters; they are copied.
            group_sizes: how many of them in a row are in each of the inner optimizer's groups.
        """
        self.config = config
        self.anchors = [nn.Parameter(anchor.detach().clone()) for anchor in anchors]
        rest = iter(self.anchors)
        groups = [{"params": [next(rest) for _ in range(size)]} for size in group_sizes]
        nesterov = config.nesterov and momentum > 0
        self._sgd = torch.optim.SGD(groups, lr=config.lr, momentum=momentum, nesterov=nesterov)

    @torch.no_grad()
    def step(self, averages: Sequence[Tensor], lrs: Sequence[float]) -> list[nn.Parameter]:
        """The new weights.

        Args:
            lrs: of the inner optimizer's groups. Nothing can be divided by 0: then the average is taken as it is.
        """
        rest = iter(averages)
        for group, inner_lr in zip(self._sgd.param_groups, lrs, strict=True):
            scale = float(inner_lr) if self.config.divide_by_lr else 1.0
            group["lr"] = self.config.lr * scale
            for anchor, average in zip(group["params"], rest, strict=False):
                if scale:
                    anchor.grad = (anchor - average).div_(scale)
                else:
                    anchor.copy_(average)
        self._sgd.step()
        self._sgd.zero_grad(set_to_none=True)
        return self.anchors

    def state(self) -> list[dict[str, Tensor]]:
        """Of each parameter, by key."""
        states: list[dict[str, Tensor]] = []
        for anchor in self.anchors:
            momentum = self._sgd.state[anchor].get("momentum_buffer")
            states.append({"anchor": anchor.detach(), **({} if momentum is None else {"momentum": momentum})})
        return states

    def load(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        """Take over the momentum of what `state` gave."""
        for anchor, state in zip(self.anchors, states, strict=True):
            if "momentum" in state:
                self._sgd.state[anchor]["momentum_buffer"] = state["momentum"].to(anchor, copy=True)


def _trained(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


@torch.no_grad()
def _sums(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Sums over the processes, in 32 bits at least. All tensors travel together: a message for each would take long."""
    if not tensors:
        return []
    kind = reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
    flat = torch.cat([tensor.detach().flatten().to(kind) for tensor in tensors])
    distributed.all_reduce(flat)
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


@torch.no_grad()
def _add_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Give every process the sum of the gradients of all; what has none anywhere gets none."""
    has_gradient = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32)
    distributed.all_reduce(has_gradient)
    used = [parameter for parameter, number in zip(parameters, has_gradient.tolist(), strict=True) if number]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
    for parameter, gradient, total in zip(used, gradients, _sums(gradients), strict=True):
        parameter.grad = gradient.copy_(total)
