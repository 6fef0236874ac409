"""What a process does in the tests of local SGD: its updates beside the algorithms written out in one process."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from seqexp.config.build import build
from seqexp.data.batch import Batch
from seqexp.distributed.base import DistributedConfig, Layout
from seqexp.distributed.ddp import DDPConfig
from seqexp.distributed.local_sgd import LocalSGDConfig
from seqexp.distributed.world import World
from seqexp.training.metrics import MetricBag
from seqexp.training.share import Share, Totals
from seqexp.training.step import TrainStep

NUM_UPDATES, PERIOD, START = 12, 3, 2
"""The last averaging is after update 11, so in the end each process has weights of its own."""
Outer = Callable[[Tensor, float], Tensor]
"""From the average and the learning rate of the last update to the new weights."""


def lr_at(update: int) -> float:
    return 0.1 / (1 + 0.2 * update)


def batches_of(update: int) -> list[Batch]:
    """Of one micro-batch, in which a process has nothing to compute, or of five of different size."""
    return [Batch(torch.arange(3) + 3 * n + update, 3 + n) for n in range(5 if update % 3 else 1)]


def weights_of(step: TrainStep) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in step.trained])


def give(step: TrainStep, weights: Tensor) -> None:
    sizes = [weight.numel() for weight in step.trained]
    for weight, value in zip(step.trained, torch.split(weights, sizes), strict=True):
        weight.data.copy_(value.view(weight.shape))


def plain(start: Tensor) -> Outer:
    return lambda average, lr: average


def slowmo(start: Tensor) -> Outer:
    """Wang et al., algorithm 1, lines 8 and 9, with beta = 0.7, alpha = 0.9."""
    x, u = start, torch.zeros_like(start)

    def step(average: Tensor, lr: float) -> Tensor:
        nonlocal x, u
        u = 0.7 * u + (x - average) / lr
        x = x - 0.9 * lr * u
        return x

    return step


def bmuf(start: Tensor) -> Outer:
    """Chen and Huo, classical block momentum 0.875, block learning rate 1; so fairseq's too."""
    held, smoothed = start, torch.zeros_like(start)

    def step(average: Tensor, lr: float) -> Tensor:
        nonlocal held, smoothed
        smoothed = 0.875 * smoothed + (held - average)
        held = held - smoothed
        return held

    return step


def nesterov(start: Tensor) -> Outer:
    """Chen and Huo, Nesterov block momentum 0.5, block learning rate 0.8."""
    model, initial, change = start, start, torch.zeros_like(start)

    def step(average: Tensor, lr: float) -> Tensor:
        nonlocal model, initial, change
        change = 0.5 * change + 0.8 * (average - initial)
        model = model + change
        initial = model + 0.5 * change
        return initial

    return step


ALGORITHMS: dict[str, tuple[LocalSGDConfig, Callable[[Tensor], Outer]]] = {
    "plain": (LocalSGDConfig(), plain),
    "slowmo": (LocalSGDConfig(lr=0.9, momentum=0.7, divide_by_lr=True), slowmo),
    "bmuf": (LocalSGDConfig(momentum=0.875), bmuf),
    "nesterov": (LocalSGDConfig(lr=0.8, momentum=0.5, nesterov=True), nesterov),
}


def simulated(outer: Callable[[Tensor], Outer], size: int) -> list[Tensor]:
    """The weights of each process in the end, and all along in this one."""
    from layouts import make_step

    alone = Layout(DistributedConfig(), world=World(torch.device("cpu")))
    steps = [make_step(alone, exact=True, optimizer=torch.optim.Adam) for _ in range(size)]
    for update in range(NUM_UPDATES):
        batches = batches_of(update)
        if update == START:
            combine = outer(weights_of(steps[0]))
        for rank, step in enumerate(steps):
            own = batches if update < START else batches[rank::size]
            if own:
                assert step(Share.whole(own), update, lr_at(update), MetricBag()) is None
        if update >= START and (update + 1 - START) % PERIOD == 0:
            weights = combine(torch.stack([weights_of(step) for step in steps]).mean(0), lr_at(update))
            for step in steps:
                give(step, weights)
    return [weights_of(step) for step in steps]


def trained(layout: Layout, world: World, optimizer: type[torch.optim.Optimizer], *, equal: bool = False) -> TrainStep:
    """Updates shared out; with `equal`, into shares with as many targets each, and gradients are not clipped."""
    from layouts import make_step

    step: TrainStep = make_step(layout, exact=True, optimizer=optimizer)
    if equal:
        step = replace(step, clip_norm=None)
    for update in range(NUM_UPDATES):
        batches = [Batch(torch.arange(3) + 3 * n + update, 3) for n in range(4)] if equal else batches_of(update)
        numbers = list(range(len(batches)))[world.rank :: world.size]
        num_idle = 0 if numbers else 1
        share = Share([batches[n] for n in numbers or [0]], numbers or [0], len(batches), num_idle)
        totals = Totals(sum(batch.num_targets for batch in batches), 3 * len(batches))
        assert step(share, update, lr_at(update), MetricBag(), totals) is None
    return step


def differences(world: World) -> dict[str, float]:
    """Largest difference of a weight, in any process, from what it should be."""
    found = {}
    for name, (config, outer) in ALGORITHMS.items():
        config.period, config.start_update = PERIOD, START
        layout: Layout = build(config, world=world)
        weights = weights_of(trained(layout, world, torch.optim.Adam))
        expected = simulated(outer, world.size)
        found[name] = float((weights - expected[world.rank]).abs().max())
        (average,) = layout.average([weights])
        found[f"{name}, average"] = float((average - torch.stack(expected).mean(0)).abs().max())
        assert layout.has_own_weights
        assert float((expected[0] - expected[1]).abs().max()) > 1e-4
    always = trained(build(LocalSGDConfig(period=1), world=world), world, torch.optim.SGD, equal=True)
    of_gradients = trained(build(DDPConfig(), world=world), world, torch.optim.SGD, equal=True)
    found["period 1 and ddp"] = float((weights_of(always) - weights_of(of_gradients)).abs().max())
    everything = world.gather(found)
    return {name: max(each[name] for each in everything) for name in found}
