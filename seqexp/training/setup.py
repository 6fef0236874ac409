"""From a config and a run directory to a trainer that is ready to go, and to the figures at the end."""

import logging
from dataclasses import dataclass, replace
from typing import Any

import torch

from seqexp.checkpoint.store import Checkpoint, CheckpointStore
from seqexp.config.build import build
from seqexp.data.batching import BatchLimits
from seqexp.data.padding import Padding
from seqexp.data.split import Split
from seqexp.generators.base import Generator
from seqexp.models.base import Model
from seqexp.precisions.base import Precision
from seqexp.runs.directory import RunDirectory
from seqexp.runs.journal import Journal
from seqexp.runtime.errors import UserError
from seqexp.runtime.rng import derive_seed
from seqexp.tasks.base import Task
from seqexp.training.config import TrainConfig
from seqexp.training.data import EpochData
from seqexp.training.display import Display, format_metrics
from seqexp.training.evaluation import Evaluation, Evaluator
from seqexp.training.fit import FittedBatch, fit_batch
from seqexp.training.freezing import freeze
from seqexp.training.memory import change_blocks
from seqexp.training.non_finite import NonFiniteReports
from seqexp.training.progress import Progress
from seqexp.training.restore import restore
from seqexp.training.step import TrainStep
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

    def __post_init__(self) -> None:
        config, task = self.config, self.task
        self.device = build(config.distributed).device
        torch.manual_seed(derive_seed(config.seed))
        self.model: Model = task.build_model(config.model).to(self.device)
        freeze(self.model, config.freeze)
        precision: Precision = build(config.precision, device=self.device)
        precision.prepare(self.model)
        criterion = task.build_criterion(config.criterion).to(self.device)
        generator = task.build_generator(config.generator) if config.validation.scores else None
        self.final_splits = self._final_splits()
        self.valid_splits = {name: task.load_split(name, self.model) for name in config.validation.splits}
        scorer = config.scorer.get(config.checkpoint.metric)
        self.store = CheckpointStore(
            self.run.checkpoints,
            metric=config.checkpoint.metric,
            maximize=scorer is not None and scorer.higher_is_better,
            keep_last=config.checkpoint.keep_last,
            keep_best=config.checkpoint.keep_best,
        )
        padding = Padding(config.batch.num_buckets, config.batch.pad_to_multiple)
        train = task.load_split("train", self.model, for_training=True, padding=padding)
        self.step = TrainStep(
            model=self.model,
            criterion=criterion,
            optimizer=build(config.optimizer, params=[p for p in self.model.parameters() if p.requires_grad]),
            precision=precision,
            device=self.device,
            clip_norm=config.clip_norm,
            seed=config.seed,
            normalize_by=config.batch.normalize_by,
        )
        self.fitted = self._fit_batch(train, generator) if config.batch.fit else None
        change_blocks(self.model, config.memory, self.device)
        self.config = config = config if self.fitted is None else self.fitted.applied(config)
        limits = BatchLimits(config.batch.max_tokens, config.batch.max_sentences, config.batch.multiple_of)
        self.data = EpochData(train, limits, config.batch, config.seed)
        self.data.num_micro_batches(0)  # a batch too small for an example shows now
        self.num_updates = self._total_updates()
        if self.fitted is not None:
            limits = replace(limits, max_tokens=self.fitted.evaluation_max_tokens)
        self.evaluate = Evaluator(task, criterion, generator, config.scorer, limits, precision)
        self.scheduler = build(config.lr_scheduler, lr=config.optimizer.lr, max_updates=self.num_updates)
        self.beginning = Progress() if self.parent is None else self._begin_with(self.parent)

    def train(self, journal: Journal) -> Progress:
        """Train from the newest checkpoint, or from the start."""
        trainer = Trainer(
            config=self.config,
            step=self.step,
            scheduler=self.scheduler,
            data=self.data,
            validate=self._validate,
            save=self._save,
            report=NonFiniteReports(self.config.non_finite, self.run.path / "non_finite", self.data.split),
            store=self.store,
            journal=journal,
            display=Display(self.num_updates),
            progress=self.beginning,
        )
        checkpoint = self.store.last()
        if checkpoint is None:
            if self.parent is not None:
                logger.info("continuing %s after update %d", self.parent.path, self.parent.update)
            self._check_validation()
        else:
            trainer.restore(checkpoint)
            logger.info("resuming after update %d", checkpoint.update)
        return trainer.train()

    def describe(self) -> None:
        """Write into the run's directory what was found for it."""
        if self.fitted is not None:
            self.fitted.save(self.run)

    def _fit_batch(self, train: Split, generator: Generator | None) -> FittedBatch:
        """What the run has found before, or finds now."""
        fitted = FittedBatch.of_run(self.run.path)
        if fitted is None:
            finals = [self.task.load_split(name, self.model) for name in self.final_splits]
            others = [*self.valid_splits.values(), *finals]
            fitted = fit_batch(self.config, self.step, train, others, generator)
        if self.parent is not None:
            self.same_order &= fitted.same_batches(FittedBatch.of_run(self.parent.path.parent.parent))
        return fitted

    def _final_splits(self) -> list[str]:
        """
        Raises:
            UserError: the data does not have one.
        """
        validation, there = self.config.validation, self.task.splits()
        if validation.final_splits is None:
            return [name for name in there if name not in ("train", *validation.splits)]
        for name in validation.final_splits:
            if name not in there:
                raise UserError(f"validation.final_splits: the data has no split {name!r}, only {', '.join(there)}")
        return validation.final_splits

    def _begin_with(self, parent: Checkpoint) -> Progress:
        """Take over the state of another run's checkpoint; updates, epochs and hours go on counting.

        Raises:
            UserError: the state does not fit, or a stop rule holds already.
        """
        progress = restore(self.step, parent)
        progress.begin_run(same_order=self.same_order)
        reason = stop_reason(self.config.stop, progress, self.scheduler)
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
        best = self.store.best()
        assert best is not None
        self.model.load_state_dict(best.weights())
        splits = {name: self.task.load_split(name, self.model) for name in self.final_splits}
        return best, {name: self.evaluate(self.model, split) for name, split in splits.items()}

    def _validate(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if self.config.validation.seed is not None:
            torch.manual_seed(self.config.validation.seed)
        for number, (name, split) in enumerate(self.valid_splits.items()):
            found = self.evaluate(self.model, split).metrics
            metrics |= {key if number == 0 else f"{name}/{key}": value for key, value in found.items()}
        self._require_metric(metrics)
        return metrics

    def _require_metric(self, metrics: dict[str, float]) -> None:
        wanted = self.config.checkpoint.metric
        if wanted not in metrics:
            raise UserError(f"checkpoint.metric={wanted}: validation gives {', '.join(metrics)}")

    def _check_validation(self) -> None:
        """Evaluate a few batches before the first update: what is wrong there shows now, not after an epoch."""
        for name, split in self.valid_splits.items():
            if self.config.validation.sanity:
                found = self.evaluate(self.model, split, self.config.validation.sanity)
                logger.info("before training | %s", " | ".join([name, *format_metrics(found.metrics)]))
                self._require_metric(found.metrics)

    def _save(self, progress: Progress, metrics: dict[str, float]) -> Checkpoint:
        return self.store.save(
            update=progress.update,
            metrics=metrics,
            config=self.usable_config,
            weights=self.model.state_dict(),
            task_files=self.task.files(),
            optimizer_state=self.step.optimizer.state_dict(),
            progress=progress.state(),
        )
