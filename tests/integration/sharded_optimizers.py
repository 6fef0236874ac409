"""What a process does in the test of optimizers in layouts: updates of a tiny model with each, saved half-way."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqexp.catalog import CATALOG, import_config
from seqexp.checkpoint.layout import Checkpoint, open_checkpoint
from seqexp.checkpoint.writing import Writers, write_checkpoint
from seqexp.config.build import build
from seqexp.criterions.base import Criterion, LossOutput
from seqexp.data.batch import Batch
from seqexp.distributed.base import Layout
from seqexp.distributed.fsdp import FSDPConfig
from seqexp.distributed.single import SingleConfig
from seqexp.distributed.world import World
from seqexp.distributed.zero import ZeROConfig
from seqexp.models.base import Model
from seqexp.optimizers.adafactor import AdafactorConfig
from seqexp.optimizers.adamw import AdamWConfig
from seqexp.optimizers.base import OptimizerConfig, ParameterGroupConfig, SingleOptimizerConfig, weights_to_evaluate
from seqexp.optimizers.composite import CompositeConfig
from seqexp.optimizers.muon import MuonConfig
from seqexp.precisions.fp64 import FP64Config
from seqexp.runtime.errors import UserError
from seqexp.training.ema import EMA, EMAConfig
from seqexp.training.metrics import MetricBag
from seqexp.training.optimizer import make_optimizer
from seqexp.training.progress import Progress
from seqexp.training.restore import restore
from seqexp.training.saving import own_part, saved_content
from seqexp.training.share import Share, Totals
from seqexp.training.step import Loss, TrainStep

LAYOUTS = {"fsdp": FSDPConfig(), "zero": ZeROConfig()}
ALONE = World(torch.device("cpu"))
NUM_UPDATES, SAVED_AT = 3, 2
NUM_SENTENCES = 12
CPU = torch.device("cpu")


class Shapes(Model):
    """Weights of one, two and three dimensions, with rows for all processes, for some, and for one."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.hidden, self.norm = nn.Embedding(11, 8), nn.Linear(8, 8), nn.LayerNorm(8)
        self.uneven, self.one_row = nn.Linear(8, 5), nn.Linear(8, 1)
        self.cube = nn.Parameter(torch.linspace(-1, 1, 60).view(3, 4, 5))

    def forward(self, batch: Batch) -> Tensor:
        x = self.norm(self.hidden(self.table(batch.indices % 11)))
        cube = torch.einsum("abc,nb,nc->na", self.cube, x[:, :4], x[:, 3:])
        return torch.cat([self.uneven(x), self.one_row(x), cube], dim=-1)


class Squares(Criterion):
    def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
        wanted = torch.outer(batch.indices.double().sin(), torch.arange(1.0, 10.0).double())
        return LossOutput((model(batch) - wanted).square().sum(), batch.num_targets)


def configured(name: str) -> OptimizerConfig:
    """The component of the catalog, in a composite where it cannot treat all parameters."""
    config = import_config(CATALOG["optimizer"][name])()
    rest = ParameterGroupConfig(optimizer=AdamWConfig(lr=0.01, no_decay=["norm"]))
    if isinstance(config, SingleOptimizerConfig):
        config.lr, config.weight_decay = min(config.lr, 0.01), 0.1
    if isinstance(config, MuonConfig):
        matrices = ParameterGroupConfig(["hidden_matrix"], config)
        return CompositeConfig(groups={"matrices": matrices, "rest": rest})
    if isinstance(config, CompositeConfig):
        tables = ParameterGroupConfig(["embedding"], AdafactorConfig(beta1=0.9, weight_decay=0.1))
        return CompositeConfig(groups={"tables": tables, "rest": rest})
    assert isinstance(config, OptimizerConfig)
    return config


class Run:
    """A model, what trains it, and its moving average."""

    def __init__(self, config: OptimizerConfig, layout: Layout) -> None:
        torch.manual_seed(1)
        self.layout, self.world = layout, layout.world
        model, criterion, precision = Shapes(), Squares(), build(FP64Config(), device=CPU)
        precision.prepare(model)
        wrapped = layout.wrap(Loss(model, criterion), blocks=[model.hidden])
        optimizer = make_optimizer(config, model, layout, precision)
        self.step = TrainStep(
            model, criterion, optimizer, precision, CPU, clip_norm=1.0, seed=1, layout=layout, wrapped=wrapped
        )
        self.ema = EMA(EMAConfig(decay=0.5), model, partial(own_part, layout))

    def update(self, number: int) -> None:
        own = torch.arange(NUM_SENTENCES)[self.world.rank :: self.world.size] + number
        share = Share([Batch(own, len(own))], [self.world.rank], self.world.size)
        totals = Totals(NUM_SENTENCES, NUM_SENTENCES)
        assert self.step(share, number, 0.01 * min(number, 2), MetricBag(), totals) is None
        self.ema.update(number)

    def save(self, path: Path) -> Checkpoint:
        writers = Writers(self.world.rank, self.world.size, "test" if self.world.size > 1 else "")
        with weights_to_evaluate(self.layout.own_optimizer(self.step.optimizer)):
            content = saved_content(self.step, self.ema, Progress(), metrics={}, config={}, task_files={})
        write_checkpoint(path, content, writers)
        self.world.wait()
        return open_checkpoint(path)


def trained(name: str, layout: Layout, folder: Path) -> dict[str, Tensor]:
    """Weights, optimizer state and average after all updates, half-way saved and restored."""
    first, second = (Run(configured(name), layout) for _ in range(2))
    for number in range(SAVED_AT):
        first.update(number)
    if layout.world.is_first:
        folder.mkdir()
    layout.world.wait()
    restore(second.step, second.ema, first.save(folder / "half-way"))
    for number in range(SAVED_AT, NUM_UPDATES):
        second.update(number)
    saved = second.save(folder / "end")
    sets = ("model", "training/model", "training/optimizer")
    return {f"{which}/{key}": value for which in sets for key, value in saved.tensors(which).read_all().items()}


def compare(world: World, folder: str) -> dict[str, Any]:
    """By layout and optimizer the largest difference from one process, or why the layout cannot have it."""
    found: dict[str, Any] = {}
    alone = build(SingleConfig(), world=ALONE)
    for name in sorted(CATALOG["optimizer"].keys() - {"adamw_8bit"}):
        expected = trained(name, alone, Path(folder) / f"{name}-{world.rank}")
        for layout, config in LAYOUTS.items():
            try:
                tensors = trained(name, build(config, world=world), Path(folder) / f"{name}-{layout}")
            except UserError as error:
                found[f"{layout} {name}"] = str(error)
                continue
            assert tensors.keys() == expected.keys(), name
            differences = [float((tensors[key] - expected[key]).abs().max()) for key in expected]
            found[f"{layout} {name}"] = max(differences)
    return found
