"""The loop: updates, and between them logging, validation, checkpoints and the question whether to stop."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch

from seqexp.checkpoint.store import Checkpoint, CheckpointStore
from seqexp.data.batch import Batch
from seqexp.lr_schedulers.base import LRScheduler
from seqexp.runs.journal import Journal
from seqexp.runtime.errors import UserError
from seqexp.training.config import TrainConfig
from seqexp.training.display import Display
from seqexp.training.intervals import is_due
from seqexp.training.metrics import MetricBag
from seqexp.training.preemption import StopRequest
from seqexp.training.progress import Progress
from seqexp.training.step import TrainStep
from seqexp.training.stopping import stop_reason

logger = logging.getLogger(__name__)


class TrainingData(Protocol):
    """The training split as micro-batches, a pure function of (seed, epoch)."""

    def num_micro_batches(self, epoch: int) -> int: ...

    def micro_batches(self, epoch: int, start: int) -> Iterator[Batch]: ...


@dataclass
class Trainer:
    """Trains until a stop rule holds. After `restore` it goes on exactly as the interrupted run would have."""

    config: TrainConfig
    step: TrainStep
    scheduler: LRScheduler
    data: TrainingData
    validate: Callable[[], dict[str, float]]
    """Metrics of the validation splits with the present weights."""
    save: Callable[[Progress, dict[str, float]], Checkpoint]
    store: CheckpointStore
    journal: Journal
    display: Display

    def __post_init__(self) -> None:
        self.progress = Progress()
        self.metrics = MetricBag()
        self._since = time.monotonic()
        self._targets_logged = 0

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint; the model's weights and the optimizer's state are those of the checkpoint.

        Raises:
            UserError: they do not fit this model or optimizer.
        """
        try:
            self.step.model.load_state_dict(checkpoint.weights())
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{checkpoint.path}: its weights are those of another model: {reason}") from error
        load_optimizer_state(self.step.optimizer, checkpoint)
        self.progress = Progress.from_state(checkpoint.progress())
        self.metrics.load(self.progress.metrics)
        self._targets_logged = self.progress.num_targets

    def continue_from(self, checkpoint: Checkpoint, *, same_order: bool) -> None:
        """Begin a new run with the state of another run's checkpoint; updates, epochs and hours go on counting.

        Args:
            same_order: the other run took its examples in the same order; otherwise a new epoch begins.

        Raises:
            UserError: the state does not fit, or a stop rule holds already.
        """
        self.restore(checkpoint)
        self.progress.begin_run(same_order=same_order)
        self.metrics.clear()
        reason = stop_reason(self.config.stop, self.progress, self.scheduler)
        if reason is not None:
            raise UserError(f"{reason} is reached by {checkpoint.path} already: raise it to train longer")

    def train(self) -> Progress:
        """Train to the end; the last state is in a checkpoint when this returns."""
        self._since = time.monotonic() - self.progress.seconds
        self._logged_at = time.monotonic()
        with self.display, StopRequest() as self.stop_request:
            while self.progress.stop_reason is None:
                self._train_epoch()
        return self.progress

    def _train_epoch(self) -> None:
        """The rest of the current epoch, or less where a stop rule holds before."""
        progress, step = self.progress, self.step
        step.model.train()
        num_batches = self.data.num_micro_batches(progress.epoch)
        batches = self.data.micro_batches(progress.epoch, progress.batch)
        while progress.stop_reason is None:
            group = list(islice(batches, self.config.batch.micro_batches))
            step(group, progress.update, self.scheduler.lr_at(progress.update), self.metrics)
            progress.update += 1
            progress.batch += len(group)
            progress.num_targets += sum(batch.num_targets for batch in group)
            epoch_ended = progress.batch >= num_batches
            if epoch_ended:
                progress.epoch, progress.batch = progress.epoch + 1, 0
            self._after_update()
            if self.stop_request.signal is not None:
                self._leave()
            if epoch_ended:
                return

    def _after_update(self) -> None:
        config, progress = self.config, self.progress
        progress.seconds = time.monotonic() - self._since
        progress.stop_reason = stop_reason(config.stop, progress, self.scheduler)
        self.display.advance(progress)
        if progress.update % config.log.every_updates == 0 or progress.stop_reason:
            self._log()
        valid: dict[str, float] = {}
        if is_due(config.validation.every, progress.validated, progress.now) or progress.stop_reason:
            valid = self._validate()
            progress.stop_reason = progress.stop_reason or stop_reason(config.stop, progress, self.scheduler)
        due = is_due(config.checkpoint.every, progress.saved, progress.now) or progress.stop_reason
        if due or self.store.would_keep(valid):
            self._save(valid)

    def _leave(self) -> None:
        """Save, unless that was just done, and end as the signal asks."""
        if self.progress.saved.update != self.progress.update:
            self._save({})
        logger.info("stopped after update %d, which is saved; the same command goes on", self.progress.update)
        self.stop_request.leave()

    def _log(self) -> None:
        progress, now = self.progress, time.monotonic()
        targets, self._targets_logged = progress.num_targets - self._targets_logged, progress.num_targets
        metrics = {
            **self.metrics.means(),
            "lr": self.scheduler.lr_at(progress.update - 1),
            "tokens_per_second": targets / max(now - self._logged_at, 1e-9),
        }
        self._logged_at = now
        self.metrics.clear()
        self.journal.write("train", progress.update, epoch=progress.epoch, metrics=metrics)
        self.display.show("train", progress, metrics)

    def _validate(self) -> dict[str, float]:
        progress, started = self.progress, time.monotonic()
        metrics = self.validate()
        self.step.model.train()
        progress.validated = progress.now
        self._logged_at += time.monotonic() - started  # speed is that of training
        value, maximize = metrics[self.store.metric], self.store.maximize
        if progress.best is None or (value > progress.best if maximize else value < progress.best):
            progress.best, progress.num_validations_since_best = value, 0
        else:
            progress.num_validations_since_best += 1
        self.journal.write("valid", progress.update, epoch=progress.epoch, metrics=metrics)
        self.display.show("valid", progress, metrics)
        return metrics

    def _save(self, valid: dict[str, float]) -> None:
        progress = self.progress
        self.journal.may_write()
        progress.saved = progress.now
        progress.metrics = self.metrics.state()
        self.save(progress, valid)
        self.journal.write("checkpoint", progress.update)


def load_optimizer_state(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Give an optimizer the state of a checkpoint. Its options (betas, weight decay, ...) stay those of the config.

    Raises:
        UserError: the state is that of another kind of optimizer.
    """
    state = checkpoint.optimizer_state()
    own = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    if [set(group) - {"params"} for group in state["param_groups"]] != [set(group) for group in own]:
        raise UserError(f"{checkpoint.path}: its optimizer state is not one of {type(optimizer).__name__}")
    try:
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise UserError(f"{checkpoint.path}: its optimizer state does not fit this model: {error}") from error
    for group, options in zip(optimizer.param_groups, own, strict=True):
        group.update(options)
