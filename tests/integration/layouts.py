"""What a process does in the tests of layouts: updates of a tiny model under several of them, in one launch."""

import logging
import os
import re
import time
from pathlib import Path
from typing import Any

import averaging
import torch
from torch import nn

from seqexp.config.build import build
from seqexp.criterions.base import Criterion, LossOutput
from seqexp.data.batch import Batch
from seqexp.distributed.base import DistributedConfig, Layout
from seqexp.distributed.ddp import CommunicationConfig, DDPConfig, Hook
from seqexp.distributed.fsdp import FSDPConfig
from seqexp.distributed.local_sgd import LocalSGDConfig
from seqexp.distributed.world import World
from seqexp.models.base import Model
from seqexp.precisions.fp32 import FP32Config
from seqexp.precisions.fp64 import FP64Config
from seqexp.training.metrics import MetricBag
from seqexp.training.share import Share, Totals
from seqexp.training.step import Fault, Loss, TrainStep

NUM_UPDATES, NUM_MICRO_BATCHES = 6, 5
LAYOUTS = {
    "static": DDPConfig(static_graph=True),
    "unused": DDPConfig(find_unused_parameters=True),
    "copied": DDPConfig(gradient_as_bucket_view=False, bucket_cap_mb=0.0001),
    "sharded": FSDPConfig(reshard_after_forward=False),
    "offloaded": FSDPConfig(cpu_offload=True),
    "fp16": DDPConfig(communication=CommunicationConfig(Hook.fp16)),
    "powersgd": DDPConfig(communication=CommunicationConfig(Hook.powersgd, start_update=3)),
    "powersgd later": DDPConfig(communication=CommunicationConfig(Hook.powersgd, start_update=NUM_UPDATES)),
}


class Net(Model):
    """Skips its second layer at random, where asked to."""

    def __init__(self, *, skips: bool) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.second, self.skips = nn.Linear(3, 8), nn.Linear(8, 8), skips

    def forward(self, batch: Batch) -> Any:
        hidden = self.first(batch.indices[:, None].to(self.first.weight.dtype) / torch.tensor([3.0, 5.0, 7.0]))
        return hidden if self.skips and torch.rand(()) < 0.5 else self.second(hidden.tanh())


class Scaled(Criterion):
    """Has a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
        return LossOutput((model(batch) * self.scale).square().sum(), batch.num_targets)


def make_step(
    layout: Layout, *, exact: bool, skips: bool = False, optimizer: type[torch.optim.Optimizer] = torch.optim.SGD
) -> TrainStep:
    model, criterion = Net(skips=skips), Scaled()
    precision = build(FP64Config() if exact else FP32Config(), device=torch.device("cpu"))
    precision.prepare(model)
    precision.prepare(criterion)
    wrapped = layout.wrap(Loss(model, criterion), blocks=[model.second])
    trained = [*model.parameters(), *criterion.parameters()]
    made = layout.make_optimizer(lambda groups: optimizer(groups, lr=0.1), trained)  # type: ignore[call-arg]
    device = torch.device("cpu")
    return TrainStep(model, criterion, made, precision, device, clip_norm=1.0, seed=1, layout=layout, wrapped=wrapped)


def train(layout: Layout, world: World, *, exact: bool, skips: bool) -> torch.Tensor:
    """All weights after some updates."""
    step = make_step(layout, exact=exact, skips=skips)
    for update in range(NUM_UPDATES):
        num = NUM_MICRO_BATCHES if update % 2 else 1
        batches = [Batch(torch.arange(3) + 3 * n + update, 3 + n) for n in range(num)]
        own = list(range(num))[world.rank :: world.size]
        num_idle = (-(-num // world.size) if layout.in_step else 1) - len(own)
        numbers = own + [0] * num_idle
        share = Share([batches[n] for n in numbers], numbers, num, max(0, num_idle))
        totals = Totals(sum(batch.num_targets for batch in batches), 3 * num)
        assert step(share, update, 0.1, MetricBag(), totals) is None
    layout.require_equal_weights(step.model)
    layout.require_equal_weights(step.criterion)
    return torch.cat(
        [
            layout.gathered(parameter.detach()).flatten().double()
            for group in step.optimizer.param_groups
            for parameter in group["params"]
        ]
    )


def differences(world: World) -> dict[str, float]:
    """Largest difference of a weight from that of one process, by layout; and what a loss that is not finite does."""
    found = {}
    alone = World(torch.device("cpu"))
    for name, config in LAYOUTS.items():
        exact, skips = name not in ("fp16", "powersgd"), name == "unused"
        weights = train(build(config, world=world), world, exact=exact, skips=skips)
        expected = train(Layout(DistributedConfig(), world=alone), alone, exact=exact, skips=skips)
        found[name] = float((weights - expected).abs().max())
    layouts = {"ddp": DDPConfig(), "local_sgd": LocalSGDConfig(), "before it": LocalSGDConfig(start_update=1)}
    for name, config in layouts.items():
        fault = infinite_loss_of_last(build(config, world=world), world)
        found[f"seen by, {name}"] = world.sum([float(fault is Fault.non_finite)])[0]
    found["after a bad gradient"] = powersgd_after_a_bad_gradient(world)
    return {**found, **averaging.differences(world)}


def powersgd_after_a_bad_gradient(world: World) -> float:
    """1, if the weights are finite and equal some updates after one whose gradient is not."""
    layout: Layout = build(DDPConfig(communication=CommunicationConfig(Hook.powersgd, start_update=0)), world=world)
    step = make_step(layout, exact=False)
    faults = []
    for update in range(6):
        scale = step.criterion.scale.data
        kept = scale.clone()
        scale.fill_(float("inf") if update == 3 else float(kept))
        batch = Batch(torch.arange(3) + world.rank, 3)
        share, totals = Share([batch], [world.rank], world.size), Totals(3 * world.size, 3 * world.size)
        faults.append(step(share, update, 0.1, MetricBag(), totals) is not None)
        if update == 3:
            scale.copy_(kept)
    layout.require_equal_weights(step.model)
    assert faults == [False, False, False, True, False, False]
    assert warnings_of_resuming(layout, step) == (["before update 6"] if world.is_first else [])
    return float(all(bool(weight.isfinite().all()) for weight in step.model.parameters()))


def warnings_of_resuming(layout: Layout, step: TrainStep) -> list[str]:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("seqexp.distributed.ddp")
    logger.addHandler(handler)
    layout.restored(6, step.optimizer, {}, own_state=False, own_weights=False)
    logger.removeHandler(handler)
    return re.findall(r"before update \d+", " ".join(record.getMessage() for record in records))


def infinite_loss_of_last(layout: Layout, world: World) -> Fault | None:
    """An update in which one process has a loss that is not finite, with a gradient that is."""
    step = make_step(layout, exact=True)
    if world.rank == world.size - 1:
        step.criterion.register_forward_hook(
            lambda module, inputs, output: LossOutput(output.sum + float("inf"), output.num_targets)
        )
    batch = Batch(torch.arange(3), 3)
    return step(Share([batch], [world.rank], world.size), 0, 0.1, MetricBag(), Totals(3 * world.size, 3))


def rank_0_sticks(world: World, directory: str) -> None:
    """Even what was to note the failure does, and the last process dies."""
    world.reports_to(Path(directory), lambda message: time.sleep(100))
    world.at("a place")
    world.wait()
    if not world.is_first:
        os._exit(3)
    time.sleep(100)
