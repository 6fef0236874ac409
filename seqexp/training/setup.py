"""From a config and a run directory to a trainer that is ready to go, and to the figures at the end."""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqexp.checkpoint.layout import MODEL, Checkpoint, open_checkpoint
from seqexp.checkpoint.retention import Retention
from seqexp.checkpoint.store import CheckpointStore
from seqexp.checkpoint.writing import ALONE, Writers
from seqexp.config.build import build
from seqexp.criterions.base import Criterion
from seqexp.data.batching import BatchLimits
from seqexp.data.padding import Padding
from seqexp.data.split import Split
from seqexp.distributed.base import Layout
from seqexp.distributed.world import World
from seqexp.generators.base import Generator
from seqexp.models.base import LanguageModel, Model
from seqexp.optimizers.base import weights_to_evaluate
from seqexp.precisions.base import Precision
from seqexp.runs.directory import RunDirectory
from seqexp.runs.journal import Journal
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json
from seqexp.runtime.rng import derive_seed
from seqexp.tasks.base import Task
from seqexp.training.apart import average_in_place, require_apart_is_possible
from seqexp.training.config import TrainConfig, metric_name
from seqexp.training.data import EpochData
from seqexp.training.display import Display, format_metrics
from seqexp.training.ema import build_ema
from seqexp.training.evaluation import Evaluation, Evaluator
from seqexp.training.finetuning import Source, TakenOver, take_over
from seqexp.training.fit import FittedBatch, fit_batch
from seqexp.training.freezing import freeze
from seqexp.training.memory import change_blocks
from seqexp.training.non_finite import NonFiniteReports
from seqexp.training.optimizer import groups_of_masters, make_optimizer
from seqexp.training.out_of_memory import evaluation_advice
from seqexp.training.progress import Progress
from seqexp.training.restore import load_weights, restore
from seqexp.training.saving import own_part, saved_content
from seqexp.training.schedules import build_schedules
from seqexp.training.step import Loss, TrainStep
from seqexp.training.stopping import stop_reason
from seqexp.training.trainer import Trainer

logger = logging.getLogger(__name__)


@dataclass
class Training:
    """One run: what is trained, how it is evaluated, and where it is kept."""

    config: TrainConfig
    task: Task
    run: RunDirectory
    usable_config: dict[str, Any]
    """Saved configs of task, model, precision and generator, for the checkpoints."""
    parent: Checkpoint | None = None
    """What the run begins with, None for fresh weights."""
    same_order: bool = False
    """The parent took its examples in the same order."""
    source: Source | None = None
    """The model whose weights the run begins with, None for fresh ones or those of the parent."""
    world: World = field(default_factory=lambda: World(torch.device("cpu")))
    """Who shares the work."""

    def __post_init__(self) -> None:
        config, task = self.config, self.task
        self.layout: Layout = build(config.distributed, world=self.world)
        self.device = self.layout.device
        torch.manual_seed(derive_seed(config.seed))
        self.model: Model = self.layout.place(task.build_model(config.model))
        if self.layout.in_step and self.model.skips_blocks:
            raise UserError(
                "distributed=fsdp computes all layers in all processes at once, and layerdrop leaves out other ones in "
                "each: take distributed=ddp with distributed.find_unused_parameters=true, or no layerdrop"
            )
        freeze(self.model, config.freeze)
        self.taken_over: TakenOver | None = None
        if self.source is not None:
            self.taken_over = take_over(self.model, self.source, config.finetune, task.vocabularies())
        precision: Precision = build(config.precision, device=self.device)
        precision.prepare(self.model)
        criterion = task.build_criterion(config.criterion).to(self.device)
        generator = task.build_generator(config.generator) if config.validation.scores else None
        if generator is not None:
            generator.fuse(_refuse_language_model)
        self.final_splits = config.validation.final(task.splits())
        self.valid_splits = {name: task.load_split(name, self.model) for name in config.validation.splits}
        self.store = self._build_store()
        padding = Padding(config.batch.num_buckets, config.batch.pad_to_multiple)
        train = task.load_split("train", self.model, for_training=True, padding=padding)
        self.fitted = self._fit_batch(train, criterion, generator) if config.batch.fit else None
        self.config = config = config if self.fitted is None else self.fitted.applied(config)
        limits = BatchLimits(config.batch.max_tokens, config.batch.max_sentences, config.batch.multiple_of)
        self.data = EpochData(
            train,
            limits,
            config.batch,
            config.seed,
            rank=self.world.rank,
            num_processes=self.world.size,
            in_step=self.layout.in_step,
        )
        self.data.num_micro_batches(0)  # a batch too small for an example shows now
        self.num_updates = self._total_updates()
        if self.layout.makes_own_updates:
            require_apart_is_possible(config, self.world.size)
        if self.world.size > config.batch.micro_batches and self.world.is_first:
            text = "batch.micro_batches=%d is less than the %d processes: the others have nothing to compute"
            logger.warning(text, config.batch.micro_batches, self.world.size)
        if self.fitted is not None:
            limits = replace(limits, max_tokens=self.fitted.evaluation_max_tokens)
        advice = evaluation_advice(config)
        self.evaluate = Evaluator(task, criterion, generator, config.scorer, limits, precision, self.world, advice)
        # Before the optimizer: it may change the parameters.
        blocks = self.model.blocks()
        loss = Loss(self.model, criterion)
        wrapped = self.layout.wrap(loss, blocks=blocks, product_dtype=precision.product_dtype)
        change_blocks(self.model, config.memory, self.device)
        self.step = TrainStep(
            model=self.model,
            criterion=criterion,
            optimizer=make_optimizer(config.optimizer, self.model, self.layout, precision),
            precision=precision,
            device=self.device,
            clip_norm=config.clip_norm,
            seed=config.seed,
            normalize_by=config.batch.normalize_by,
            layout=self.layout,
            wrapped=wrapped,
        )
        self.schedules = build_schedules(config.lr_scheduler, config.optimizer, self.num_updates)
        self.ema = build_ema(config.ema, self.model, partial(own_part, self.layout), precision.master)
        self.beginning = Progress() if self.parent is None else self._begin_with(self.parent)

    def train(self, journal: Journal) -> Progress:
        """Train from the newest checkpoint, or from the start."""
        trainer = Trainer(
            config=self.config,
            step=self.step,
            schedules=self.schedules,
            data=self.data,
            validate=self._validate,
            save=self._save,
            last_checkpoint=partial(self._found, self.store.last),
            report=NonFiniteReports(self.config.non_finite, self.run.path / "non_finite", self.data.split),
            store=self.store,
            journal=journal,
            display=Display(self.num_updates, with_bar=self.world.is_first),
            ema=self.ema,
            progress=self.beginning,
        )
        self.store.before_naming = journal.may_write
        checkpoint = trainer.last_checkpoint()
        if checkpoint is None:
            self._tell_beginning()
            self._check_validation()
        else:
            trainer.restore(checkpoint)
            logger.info("resuming after update %d", checkpoint.update)
        self.layout.require_equal_weights(self.model)
        return trainer.train()

    def describe(self) -> None:
        """Write into the run's directory what was found for it."""
        if self.fitted is not None:
            self.fitted.save(self.run)

    def _fit_batch(self, train: Split, criterion: Criterion, generator: Generator | None) -> FittedBatch:
        """What the run has found before, or finds now, in the first process.

        Raises:
            UserError: the layout is not one whose processes have all of the model; or nothing fits.
        """
        if self.layout.in_step:
            raise UserError(
                "batch.fit=true tries updates in one process, and with distributed=fsdp none has the whole model: give "
                "batch.max_tokens"
            )
        fitted = FittedBatch.of_run(self.run.path)
        if fitted is None:
            finals = [self.task.load_split(name, self.model) for name in self.final_splits]
            others = [*self.valid_splits.values(), *finals]
            config = self.config
            precision: Precision = build(config.precision, device=self.device)
            step = TrainStep(
                model=self.model,
                criterion=criterion,
                optimizer=build(config.optimizer, params=groups_of_masters(config.optimizer, self.model, precision)),
                precision=precision,
                device=self.device,
                clip_norm=config.clip_norm,
                seed=config.seed,
                normalize_by=config.batch.normalize_by,
            )
            found = self.world.from_first(lambda: asdict(fit_batch(config, step, train, others, generator, self.world)))
            fitted = FittedBatch(**found)
        if self.parent is not None:
            self.same_order &= fitted.same_batches(FittedBatch.of_run(self.parent.path.parent.parent))
        return fitted

    def _found(self, find: Callable[[], Checkpoint | None]) -> Checkpoint | None:
        """The checkpoint that the first process finds: what another sees on the disk may be older."""

        def path() -> str | None:
            checkpoint = find()
            return None if checkpoint is None else str(checkpoint.path)

        found = self.world.from_first(path)
        return None if found is None else open_checkpoint(Path(found))

    def _build_store(self) -> CheckpointStore:
        config, world = self.config.checkpoint, self.world
        scorer = self.config.scorer.get(metric_name(config.metric))
        retention = Retention(
            metric=config.metric,
            maximize=scorer is not None and scorer.higher_is_better,
            keep_last=config.keep_last,
            keep_best=config.keep_best,
            keep_every_updates=config.keep_every_updates,
        )
        writers = ALONE
        if self.layout.all_write:
            attempt = world.from_first(lambda: secrets.token_hex(4))
            writers = Writers(world.rank, world.size, attempt, require_alive=world.require_alive)
        return CheckpointStore(self.run.checkpoints, retention, writers=writers, asynchronous=config.asynchronous)

    def _tell_beginning(self) -> None:
        """Which weights the run begins with, where they are not fresh ones."""
        if self.parent is not None:
            logger.info("continuing %s after update %d", self.parent.path, self.parent.update)
        if self.taken_over is not None and self.world.is_first:
            write_json(self.run.path / "finetune.json", self.taken_over.state())
            for line in self.taken_over.lines():
                logger.info("%s", line)

    def _begin_with(self, parent: Checkpoint) -> Progress:
        """Take over the state of another run's checkpoint; updates, epochs and hours go on counting.

        Raises:
            UserError: the state does not fit, or a stop rule holds already.
        """
        progress = restore(self.step, self.ema, parent)
        progress.begin_run(same_order=self.same_order)
        self.schedules.at_epoch(progress.epoch)
        reason = stop_reason(self.config.stop, progress, self.schedules)
        if reason is not None:
            raise UserError(f"{reason} is reached by {parent.path} already: raise it to train longer")
        return progress

    def _total_updates(self) -> int | None:
        """Updates until `stop.max_updates` or `stop.max_epochs`, None where neither is set.

        Epochs are counted as long as the first; others may differ by an update or two.
        """
        stop, per_update = self.config.stop, self.config.batch.micro_batches
        limits = [stop.max_updates]
        if stop.epochs is not None:
            limits.append(stop.epochs * -(-self.data.num_micro_batches(0) // per_update))
        return min((limit for limit in limits if limit is not None), default=None)

    def final(self) -> tuple[Checkpoint, dict[str, Evaluation]]:
        """The best checkpoint, and what its weights do with the final splits."""
        self.world.at("the final evaluation")
        best = self._found(self.store.best)
        assert best is not None
        load_weights(self.model, self.layout, best, MODEL)
        splits = {name: self.task.load_split(name, self.model) for name in self.final_splits}
        with self.layout.evaluated(self.model) as model:
            return best, {name: self.evaluate(model, name, split) for name, split in splits.items()}

    def _validate(self) -> dict[str, float]:
        if self.config.validation.seed is not None:
            torch.manual_seed(self.config.validation.seed)
        with self._evaluated() as model:
            evaluations = {name: self.evaluate(model, name, split) for name, split in self.valid_splits.items()}
        return self._metrics(evaluations)

    @contextmanager
    def _evaluated(self) -> Iterator[Model]:
        """Context that gives the model with the weights that are validated."""
        own = self.layout.own_optimizer(self.step.optimizer)
        average = average_in_place(self.step)
        with weights_to_evaluate(own), average, self.ema.validating(), self.layout.evaluated(self.model) as model:
            yield model

    def _metrics(self, evaluations: dict[str, Evaluation]) -> dict[str, float]:
        """Those of the first split by their names, those of the others as `<split>/<name>`."""
        metrics: dict[str, float] = {}
        for number, (name, evaluation) in enumerate(evaluations.items()):
            found = evaluation.metrics.items()
            metrics |= {key if number == 0 else f"{name}/{key}": value for key, value in found}
        self._require_metric(metrics)
        return metrics

    def _require_metric(self, metrics: dict[str, float]) -> None:
        wanted = self.config.checkpoint.metric
        if wanted not in metrics:
            raise UserError(f"checkpoint.metric={wanted}: validation gives {', '.join(metrics)}")

    def _check_validation(self) -> None:
        """Evaluate a few batches before the first update: what is wrong there shows now, not after an epoch."""
        num_batches = self.config.validation.sanity
        if not num_batches:
            return
        with self._evaluated() as model:
            splits = self.valid_splits.items()
            evaluations = {name: self.evaluate(model, name, split, num_batches) for name, split in splits}
        for name, evaluation in evaluations.items():
            logger.info("before training | %s", " | ".join([name, *format_metrics(evaluation.metrics)]))
        self._metrics(evaluations)

    def _save(self, progress: Progress, metrics: dict[str, float]) -> None:
        self.layout.require_equal_weights(self.model)
        with weights_to_evaluate(self.layout.own_optimizer(self.step.optimizer)):
            content = saved_content(
                self.step,
                self.ema,
                progress,
                metrics=metrics,
                config=self.usable_config,
                task_files=self.task.files(),
            )
            if self.layout.all_write:
                self.store.save(content)
                self.world.wait()
            else:
                self.world.from_first(lambda: self.store.save(content))


def _refuse_language_model(path: str) -> LanguageModel:
    raise UserError(f"generator.lm={path}: training validates without a language model; give it to generate")
