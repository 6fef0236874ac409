"""`batch.fit=true`: the largest micro-batch that fits into memory, found once and kept with the run."""

import logging
import multiprocessing
import pickle
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from seqexp.data.batch import PairBatch
from seqexp.data.batching import BatchLimits, Order
from seqexp.data.split import Split
from seqexp.distributed.world import World
from seqexp.generators.base import Generator
from seqexp.runs.directory import RunDirectory, read_json
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json
from seqexp.training.config import BatchConfig, TrainConfig
from seqexp.training.memory import ActivationCheckpoint, require_possible
from seqexp.training.probe import Report, Sizes, Trial, probe
from seqexp.training.step import TrainStep

TRAINING_SECONDS, ALL_SECONDS, MOST_SECONDS = 25.0, 40.0, 50.0
"""After which no trial of training, none at all, is begun; and after which the process is ended, if it knows any batch
that fits. They count from when it has loaded its libraries."""
PATIENCE = 600.0
"""Seconds after which it is ended in any case: a machine may be very busy."""
MEBIBYTE = 2**20
FILE = "batch.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FittedBatch:
    """What was found for a run, as it is kept in its directory."""

    max_tokens: int
    micro_batches: int
    evaluation_max_tokens: int
    """Of validation, where a search keeps more for every sentence than an update does."""
    limit_mebibytes: int
    """What an update may take besides what the process has before it."""
    largest_max_tokens: int
    """What would fit; `max_tokens` is less where an update does not need it."""

    @classmethod
    def of_run(cls, run: Path) -> "FittedBatch | None":
        """What a run has found; None for nothing, or nothing yet.

        Raises:
            UserError: its file is damaged.
        """
        values = read_json(run / FILE)
        return None if values is None else cls(**values)

    def save(self, run: RunDirectory) -> None:
        write_json(run.path / FILE, asdict(self))

    def applied(self, config: TrainConfig) -> TrainConfig:
        """The config with these numbers in place of its own."""
        batch = replace(config.batch, max_tokens=self.max_tokens, micro_batches=self.micro_batches)
        return replace(config, batch=batch)

    def same_batches(self, other: "FittedBatch | None") -> bool:
        """Whether the other cuts the data into the same updates."""
        mine = self.max_tokens, self.micro_batches
        return other is not None and mine == (other.max_tokens, other.micro_batches)


def fit_batch(
    config: TrainConfig,
    step: TrainStep,
    train: Split,
    others: Sequence[Split],
    generator: Generator | None,
    world: World,
) -> FittedBatch:
    """Find the batch of a run, in less than a minute. Nothing of what is given is changed, nor is the random state.

    Args:
        step: of the run, before its first update.
        others: splits that are evaluated, with `generator` if there is one.
        world: the processes that will share an update, and the memory of a machine without GPUs.

    Raises:
        UserError: not even the longest example fits.
        ValueError: an option of `memory` is not for this model or device.
    """
    started = time.monotonic()
    require_possible(step.model, config.memory, step.device)
    plans = [split.plan(BatchLimits(), order=Order.by_length) for split in (train, *others)]
    least = max((plan.largest_size for plan in plans), default=1)
    most = tokens_of_update(config.batch)
    if most < least:
        raise UserError(
            f"batch.max_tokens={config.batch.max_tokens} x batch.micro_batches={config.batch.micro_batches} is smaller "
            f"than the longest example, which has {least} tokens: raise it, or limit the length of examples"
        )
    evaluation = []
    for split, plan in zip(others, plans[1:], strict=True):
        for numbers in ([int(plan[0][0])], plan.widest):
            batch = split.collate(np.array(numbers))
            if isinstance(batch, PairBatch):
                evaluation.append((batch, min(len(split), config.batch.max_sentences or len(split))))
    trial = Trial(
        step=step,
        memory=config.memory,
        sizes=Sizes(least, most, config.batch.max_sentences),
        batch=train.collate(np.array(plans[0].widest)),
        generator=generator,
        evaluation=evaluation,
        limit=None if config.batch.fit_memory is None else config.batch.fit_memory * MEBIBYTE,
        seconds=(TRAINING_SECONDS, ALL_SECONDS),
        num_threads=torch.get_num_threads(),
        num_sharing=world.num_here if step.device.type == "cpu" else 1,
    )
    report = run_trial(trial)
    limit = report.limit // MEBIBYTE
    if report.training is None:
        raise UserError(
            f"batch.fit: an update with the longest example, {least} tokens, needs {-(-report.peak // MEBIBYTE)} MiB "
            f"of memory or more, and there are {limit}: {too_small_advice(config)}"
        )
    fitted = cut_update(config.batch, report, least, world.size)
    logger.info(
        "batch.fit: up to %d tokens fit into %d MiB; batch.max_tokens=%d batch.micro_batches=%d (given: %d, %d), "
        "evaluation with %d tokens; %.0f s",
        *(fitted.largest_max_tokens, limit, fitted.max_tokens, fitted.micro_batches),
        *(config.batch.max_tokens, config.batch.micro_batches, fitted.evaluation_max_tokens),
        time.monotonic() - started,
    )
    return fitted


def tokens_of_update(batch: BatchConfig) -> int:
    """As the config says; finding a batch leaves it as it is."""
    assert batch.max_tokens is not None
    return batch.max_tokens * batch.micro_batches


def cut_update(batch: BatchConfig, report: Report, least: int, num_processes: int = 1) -> FittedBatch:
    """As few micro-batches as fit, of equal size, that together have the tokens of the config, or hardly more. But as
    many for each process, unless the longest example would not fit into so small ones."""
    assert report.training is not None
    fewest = -(-tokens_of_update(batch) // report.training)
    as_many_for_each = -(-fewest // num_processes) * num_processes
    micro_batches = max(fewest, min(as_many_for_each, tokens_of_update(batch) // least))
    max_tokens = max(least, -(-tokens_of_update(batch) // micro_batches))
    evaluation = max_tokens if report.evaluation is None else min(max_tokens, max(least, report.evaluation))
    return FittedBatch(
        max_tokens=max_tokens,
        micro_batches=micro_batches,
        evaluation_max_tokens=evaluation,
        limit_mebibytes=report.limit // MEBIBYTE,
        largest_max_tokens=report.training,
    )


def run_trial(trial: Trial) -> Report:
    """Run a trial in a process of its own; its last report.

    Raises:
        UserError: it cannot be given what it needs, or has ended before it could say anything.
    """
    try:
        # Pickled here, by value: the usual way between processes would share the weights.
        parcel = pickle.dumps(trial)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(f"batch.fit: the run cannot be copied for a trial ({error}); use batch.fit=false") from error
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=probe, args=(parcel, sender))
    process.start()
    sender.close()
    started, report = time.monotonic(), None
    begun = started
    try:
        while True:
            knows_one = report is not None and report.training is not None
            deadline = begun + MOST_SECONDS if knows_one else started + PATIENCE
            if not receiver.poll(max(0.0, deadline - time.monotonic())):
                break
            begun = time.monotonic() if report is None else begun
            report = receiver.recv()
    except EOFError:
        pass  # it is done, or the system has ended it: what it has reported holds
    finally:
        process.kill()
        process.join()
        receiver.close()
    if report is None or (report.training is None and report.peak == 0):
        raise UserError(
            f"batch.fit: the process that tries batches ended with status {process.exitcode}; use batch.fit=false"
        )
    assert isinstance(report, Report)
    return report


def too_small_advice(config: TrainConfig) -> str:
    advice = "limit the length of examples, use a smaller model"
    full = config.memory.activation_checkpoint is ActivationCheckpoint.full
    return advice if full else f"{advice}, or memory.activation_checkpoint=full"
