"""The loop: updates, and between them logging, validation, checkpoints and the question whether to stop."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from seqexp.checkpoint.layout import Checkpoint
from seqexp.checkpoint.store import CheckpointStore
from seqexp.distributed.preemption import StopRequest
from seqexp.distributed.world import World
from seqexp.runs.journal import Journal
from seqexp.runtime.errors import UserError
from seqexp.training.config import TrainConfig
from seqexp.training.display import Display
from seqexp.training.ema import NoEMA
from seqexp.training.intervals import is_due
from seqexp.training.metrics import MetricBag
from seqexp.training.non_finite import NonFiniteReports, Policy
from seqexp.training.out_of_memory import out_of_memory_told
from seqexp.training.progress import Progress
from seqexp.training.restore import restore
from seqexp.training.schedules import ALL, GroupSchedules
from seqexp.training.share import Share, Totals
from seqexp.training.step import Fault, TrainStep
from seqexp.training.stopping import stop_reason

logger = logging.getLogger(__name__)

ROLLBACK_KEEPS = (
    "epoch",
    "batch",
    "num_skipped_updates",
    "num_skipped_examples",
    "num_non_finite",
    "num_non_finite_in_a_row",
)
"""What a rollback does not undo: where the data stands, and the record of what went wrong."""


class TrainingData(Protocol):
    """The training split as updates, a pure function of (seed, epoch)."""

    def num_micro_batches(self, epoch: int) -> int: ...

    def updates(self, epoch: int, start: int) -> Iterator[Share]: ...


@dataclass
class Trainer:
    """Trains until a stop rule holds. After `restore` it goes on exactly as the interrupted run would have.

    Where several processes share the work, each has one, and all take the same decisions: what only one of them knows
    (a signal, the time, what is on disk) they agree on first.
    """

    config: TrainConfig
    step: TrainStep
    schedules: GroupSchedules
    data: TrainingData
    validate: Callable[[], dict[str, float]]
    """Metrics of the validation splits with the present weights."""
    save: Callable[[Progress, dict[str, float]], None]
    """Writes a checkpoint, or begins to, with these metrics."""
    last_checkpoint: Callable[[], Checkpoint | None]
    """The newest that is whole."""
    report: NonFiniteReports
    store: CheckpointStore
    journal: Journal
    display: Display
    ema: NoEMA
    progress: Progress = field(default_factory=Progress)
    """Where it begins."""

    def __post_init__(self) -> None:
        self.metrics = MetricBag()
        self.stop_request = StopRequest()
        self._since = time.monotonic()
        self._targets_logged = self.progress.num_targets

    @property
    def world(self) -> World:
        return self.step.layout.world

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on where a checkpoint of this run was saved.

        Raises:
            UserError: its state does not fit this model or optimizer.
        """
        self.progress = restore(self.step, self.ema, checkpoint)
        self.metrics.load(self.progress.metrics if self.world.is_first else {})
        self.schedules.load(self.progress.schedules)
        self._targets_logged = self.progress.num_targets

    def train(self) -> Progress:
        """Train to the end; the last state is in a checkpoint when this returns.

        Raises:
            UserError: a loss or gradient is not finite, and `config.non_finite` says that this ends the run; or a
                checkpoint cannot be written.
        """
        self._since = time.monotonic() - self.progress.seconds
        self._logged_at = time.monotonic()
        if self.config.non_finite.policy is Policy.rollback and self.last_checkpoint() is None:
            self._save()  # there is something to go back to from the first update on
        self.schedules.at_epoch(self.progress.epoch)
        with self.display, self._writes_finished(), self.stop_request:
            while self.progress.stop_reason is None:
                self._leave_if_asked()
                self._train_epoch()
            self._leave_if_asked()
        progress = self.progress
        if progress.num_skipped_updates:
            counts = progress.num_skipped_updates, progress.num_skipped_examples
            logger.info("updates skipped: %d, with %d examples; the journal says which", *counts)
        return progress

    def _train_epoch(self) -> None:
        """The rest of the current epoch, or less where a stop rule holds before."""
        epoch, step = self.progress.epoch, self.step
        step.model.train()
        num_batches = self.data.num_micro_batches(epoch)
        self.world.wait()  # to make an epoch's data may take one process longer than another
        for share in self.data.updates(epoch, self.progress.batch):
            update = self.progress.update
            self.world.at(f"update {update}, epoch {epoch + 1}, micro-batch {self.progress.batch}")
            totals = self._agree(share)
            lrs = self.schedules.rates_at(update)
            with out_of_memory_told(step, share, self.progress, self.config):
                fault = step(share, update, lrs, self.metrics, totals)
            if fault is None:
                self._count(totals, lrs)
                self.ema.update(self.progress.update)
            else:
                self._skip(share, totals, fault)
            self.progress.move_on(share.num_micro_batches, num_batches)
            if fault is Fault.non_finite and self.config.non_finite.policy is Policy.rollback:
                self._roll_back()
            self._note_written()
            self.schedules.at_epoch(self.progress.epoch)
            self._after_attempt(made=fault is None)
            if self.progress.stop_reason is not None or self.progress.epoch != epoch:
                return

    def _agree(self, share: Share) -> Totals:
        """Counts of the coming update over all processes; ends here if one was asked to stop.

        One small exchange carries all that processes must know of each other before an update.
        """
        own = share.totals
        seconds = time.monotonic() - self._since if self.world.is_first else 0.0
        numbers = [own.num_targets, own.num_sentences, seconds, *self.stop_request.flags()]
        num_targets, num_sentences, self.progress.seconds, *flags = self.world.sum(numbers)
        if self.stop_request.agreed(flags):
            self._leave()
        return Totals(int(num_targets), int(num_sentences))

    def _leave_if_asked(self) -> None:
        if self.stop_request.agreed(self.world.sum(self.stop_request.flags())):
            self._leave()

    def _count(self, totals: Totals, lrs: dict[str, float]) -> None:
        progress = self.progress
        progress.update += 1
        progress.lrs = lrs
        progress.num_targets += totals.num_targets
        if self.config.non_finite.policy is not Policy.rollback:
            progress.num_non_finite_in_a_row = 0

    def _skip(self, share: Share, totals: Totals, fault: Fault) -> None:
        """Note down an update that was not made.

        Raises:
            UserError: it ends the run.
        """
        progress, precision = self.progress, self.step.precision
        num_examples = totals.num_sentences
        progress.num_skipped_updates += 1
        progress.num_skipped_examples += num_examples
        facts = {"epoch": progress.epoch, "batch": progress.batch, "num_examples": num_examples, **precision.metrics()}
        if fault is Fault.overflow:
            self.journal.write("skipped", progress.update, reason=fault.value, **facts)
            now = "".join(f"; {name.replace('_', ' ')} {value:g}" for name, value in precision.metrics().items())
            logger.info("update %d: overflow, %d examples skipped%s", progress.update, num_examples, now)
            return
        progress.num_non_finite += 1
        progress.num_non_finite_in_a_row += 1
        what = self.report(self.step, share, progress, totals)
        policy = self.config.non_finite.policy
        self.journal.write("non_finite", progress.update, policy=policy.value, message=what, **facts)
        self.report.require_within_limits(what, progress, precision.advice())
        logger.warning("%s; non_finite.policy=%s", what, policy.value)

    def _roll_back(self) -> None:
        """Weights, optimizer and counters of the newest checkpoint; the data goes on where it is.

        Raises:
            UserError: no checkpoint is whole.
        """
        now, checkpoint = self.progress, self.last_checkpoint()
        if checkpoint is None:
            raise UserError(
                f"{self.store.directory}: no checkpoint is whole, so non_finite.policy=rollback cannot go back"
            )
        self.restore(checkpoint)
        for name in ROLLBACK_KEEPS:
            setattr(self.progress, name, getattr(now, name))
        place = {"epoch": now.epoch, "batch": now.batch}
        self.journal.write("rollback", now.update, to_update=checkpoint.update, **place)
        text = "back from update %d to the checkpoint of update %d; the data goes on at epoch %d, micro-batch %d"
        logger.warning(text, now.update, checkpoint.update, now.epoch + 1, now.batch)

    def _after_attempt(self, *, made: bool) -> None:
        """What is due after an update, or after one that was not `made` but may have ended an epoch."""
        config, progress = self.config, self.progress
        progress.stop_reason = stop_reason(config.stop, progress, self.schedules)
        self.display.advance(progress)
        if (made and progress.update % config.log.every_updates == 0) or progress.stop_reason:
            self._log()
        validated = False
        if self._validation_is_due():
            validated = self._validate()
            progress.stop_reason = progress.stop_reason or stop_reason(config.stop, progress, self.schedules)
        due = self._checkpoint_is_due(made=made)
        if due or (validated and self.world.from_first(lambda: self.store.would_keep(progress.valid))):
            self._save()

    def _checkpoint_is_due(self, *, made: bool) -> bool:
        progress, config = self.progress, self.config.checkpoint
        is_kept = made and config.keep_every_updates is not None and progress.update % config.keep_every_updates == 0
        return is_kept or bool(progress.stop_reason) or is_due(config.every, progress.saved, progress.now)

    def _validation_is_due(self) -> bool:
        progress, validation = self.progress, self.config.validation
        if progress.stop_reason:
            return True
        due = is_due(validation.every, progress.validated, progress.now)
        if due and progress.update < validation.after_updates:
            progress.validated = progress.now  # this one is left out; the interval goes on
            return False
        return due

    def _leave(self) -> None:
        """Save, unless that was just done, and end as the signal asks.

        A checkpoint outside the schedule would change what `rollback` goes back to, so with it the run goes on from the
        newest one.
        """
        if self.config.non_finite.policy is Policy.rollback:
            logger.info(
                "stopped after update %d; the same command goes on from the newest checkpoint", self.progress.update
            )
            self.stop_request.leave()
        if self.progress.saved != self.progress.now:
            self._save()
        self.store.wait()
        self._note_written()
        logger.info("stopped after update %d, which is saved; the same command goes on", self.progress.update)
        self.stop_request.leave()

    def _log(self) -> None:
        progress, now = self.progress, time.monotonic()
        self.metrics.pool(self.world)
        means = self.metrics.means()
        if not means:
            return  # no update since the last time, or this process is not the first, which has them
        targets, self._targets_logged = progress.num_targets - self._targets_logged, progress.num_targets
        metrics = {
            **means,
            **self.step.precision.metrics(),
            "lr": max(progress.lrs.values()),
            **{f"lr/{name}": lr for name, lr in progress.lrs.items() if name != ALL},
            "tokens_per_second": targets / max(now - self._logged_at, 1e-9),
        }
        self._logged_at = now
        self.metrics.clear()
        self.journal.write("train", progress.update, epoch=progress.epoch, metrics=metrics)
        self.display.show("train", progress, metrics)

    def _validate(self) -> bool:
        """Validate, unless these weights were validated already; whether it was done."""
        progress, started = self.progress, time.monotonic()
        if progress.valid and progress.validated.update == progress.update:
            progress.validated = progress.now
            return False
        self.world.at(f"validation after update {progress.update}")
        progress.valid = metrics = self.validate()
        self.step.model.train()
        progress.validated = progress.now
        self._logged_at += time.monotonic() - started  # speed is that of training
        value, maximize = metrics[self.store.retention.metric], self.store.retention.maximize
        best = progress.best
        if best is None or math.isnan(best) or (value > best if maximize else value < best):
            progress.best, progress.num_validations_since_best = value, 0
        else:
            progress.num_validations_since_best += 1
        self.schedules.validated(progress.update, value, maximize=maximize)
        self.journal.write("valid", progress.update, epoch=progress.epoch, metrics=metrics)
        self.display.show("valid", progress, metrics)
        return True

    def _save(self) -> None:
        progress = self.progress
        self.world.at(f"saving after update {progress.update}")
        self.journal.may_write()
        if self.config.non_finite.policy is Policy.rollback and progress.update > progress.saved.update:
            progress.num_non_finite_in_a_row = 0
        progress.saved = progress.now
        self.metrics.pool(self.world)
        progress.metrics = self.metrics.state()
        progress.precision = self.step.precision.state()
        progress.schedules = self.schedules.state()
        # Of the same update, not only of the same moment: after a skipped batch, a checkpoint may replace that of the
        # last update, and must say no less of it.
        self.save(progress, progress.valid if progress.validated.update == progress.update else {})
        self._note_written()

    def _note_written(self) -> None:
        """Enter the checkpoints that are there now.

        Raises:
            UserError: one could not be written.
        """
        for checkpoint in self.store.written():
            self.journal.write("checkpoint", checkpoint.update)

    @contextlib.contextmanager
    def _writes_finished(self) -> Iterator[None]:
        """However the training ends, a checkpoint that is being written is finished first."""
        try:
            yield
        except BaseException as error:
            self.store.wait()
            try:
                self._note_written()
            except UserError as failure:
                if isinstance(error, OSError):
                    raise failure from error  # a disk that is full: the journal met it while a checkpoint filled it
                logger.warning("%s", failure)  # what ends the run already matters more
            raise
        self.store.wait()
        self._note_written()
