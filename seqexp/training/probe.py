"""How large a batch may be: updates and searches of growing size, in a process of their own, until memory is full.

That process has copies of everything, so whatever happens to it changes nothing of the run.
"""

import pickle
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from multiprocessing.connection import Connection
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from seqexp.data.batch import Batch, PairBatch
from seqexp.generators.base import Generator
from seqexp.models.base import Seq2SeqModel
from seqexp.runtime import memory
from seqexp.training.memory import MemoryConfig, change_blocks
from seqexp.training.metrics import MetricBag
from seqexp.training.out_of_memory import is_out_of_memory
from seqexp.training.share import Share
from seqexp.training.step import TrainStep

AnyBatch = TypeVar("AnyBatch", bound=Batch)

PART_OF_FREE_MEMORY = 0.9
LARGEST_EXTRAPOLATION = 4
"""No size is believed in that is more than so many times one that was tried."""
CLOSE_ENOUGH = 1.03
"""A size that is not larger than this is not worth another trial."""
MARGIN = 2**26
"""Bytes that the process may reserve beyond the limit without using them."""
NUM_FIRST_UPDATES = 2
MOST_ATTEMPTS = 20
"""Of the first updates; in float16 they may overflow until the loss scale has come down."""


@dataclass(frozen=True)
class Sizes:
    """Of a micro-batch, in tokens of its longer side."""

    least: int
    """The longest example."""
    most: int
    """As many as an update has."""
    max_sentences: int | None = None


@dataclass(frozen=True)
class Trial:
    """What the process is given."""

    step: TrainStep
    memory: MemoryConfig
    sizes: Sizes
    batch: Batch
    """The widest that training may have, of any number of sentences."""
    generator: Generator | None
    """None: validation computes losses only."""
    evaluation: Sequence[tuple[PairBatch, int]]
    """Batches of short and of long examples, and how many examples of the kind a batch may have at most."""
    limit: int | None
    """Bytes beyond what the process has before the first update; None for most of what is free."""
    seconds: tuple[float, float]
    """Until when, since the process has loaded its libraries, training and evaluation may be tried."""
    num_threads: int
    num_sharing: int = 1
    """Processes that share what is free."""


@dataclass(frozen=True)
class Report:
    """What the process has found, so far."""

    limit: int
    """Bytes."""
    training: int | None = None
    """The largest `max_tokens` of training; None: not even the longest example fits."""
    evaluation: int | None = None
    """The largest of evaluation, at most `training`; None where nothing is generated, and losses need less."""
    peak: int = 0
    """Bytes beyond the beginning, at `training` or at the largest size tried."""


def probe(parcel: bytes, connection: Connection) -> None:
    """Run the trial that was pickled, and send a report after each step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who has started it ends it
    trial: Trial = pickle.loads(parcel)  # from our own process, which has just made it
    torch.set_num_threads(trial.num_threads)
    step = trial.step
    change_blocks(step.model, replace(trial.memory, compile=False), step.device)
    _load_libraries(step.device)
    started = time.monotonic()
    meter = Meter(step.device)
    limit = trial.limit or int(meter.free() * PART_OF_FREE_MEMORY / trial.num_sharing)
    if step.device.type == "cpu":
        memory.limit_memory(limit + MARGIN)
    report = Report(limit)
    connection.send(report)  # the time begins to count

    def found(size: int, peak: int) -> None:
        nonlocal report
        report = replace(report, training=size, peak=peak)
        connection.send(report)

    def update(size: int) -> None:
        step.accumulate(enlarged(trial.batch, size, trial.sizes.max_sentences), 0, 0, 1)

    step.model.train()
    try:
        always = meter(lambda: _first_updates(step, enlarged(trial.batch, 1)))
    except DoesNotFitError:
        always = limit + 1
    if always > limit:
        connection.send(replace(report, peak=always))
        return
    search = Search(lambda size: meter(lambda: update(size)), limit, started + trial.seconds[0], found)
    largest = search(trial.sizes.least, trial.sizes.most)
    report = replace(report, training=largest, peak=search.peak)
    if largest is None or trial.generator is None:
        connection.send(report)
        return
    step.optimizer.zero_grad(set_to_none=True)
    step.model.eval()

    def found_for_evaluation(size: int) -> None:
        connection.send(replace(report, evaluation=size))

    found_for_evaluation(trial.sizes.least)
    search = Search(
        lambda size: meter(lambda: _evaluate(trial, size)),
        limit,
        started + trial.seconds[1],
        lambda size, peak: found_for_evaluation(size),
    )
    found_for_evaluation(search(trial.sizes.least, largest) or trial.sizes.least)


def _load_libraries(device: torch.device) -> None:
    """An update of next to nothing: what torch loads for its first one is no matter of the batch."""
    layer = torch.nn.Linear(2, 2, device=device)
    checkpoint(layer, torch.ones(1, 2, device=device), use_reentrant=False).sum().backward()
    torch.optim.Adam(layer.parameters()).step()


def _first_updates(step: TrainStep, batch: Batch) -> None:
    """Whole updates: the optimizer makes its state in the first. What it needs does not depend on the batch."""
    made = 0
    for _ in range(MOST_ATTEMPTS):
        made += step(Share.whole([batch]), 0, 0.0, MetricBag()) is None
        if made == NUM_FIRST_UPDATES:
            return


@torch.no_grad()
def _evaluate(trial: Trial, size: int) -> None:
    """Search with the largest batches that validation may have under a limit of so many tokens."""
    model, precision = trial.step.model, trial.step.precision
    assert trial.generator is not None
    for batch, most in trial.evaluation:
        assert isinstance(model, Seq2SeqModel)
        with precision.autocast():
            trial.generator.generate([model], enlarged(batch, size, most).to(precision.device))


def enlarged(batch: AnyBatch, max_tokens: int, max_sentences: int | None = None) -> AnyBatch:
    """The sentences of a batch over and over, until their padded tokens on the longer side are `max_tokens` or more.

    So no batch within that limit, of sentences at most as wide, has more sentences x width or sentences x width^2.
    """
    tensors = {f.name: x for f in fields(batch) if isinstance(x := getattr(batch, f.name), Tensor)}
    width = max((tensor.shape[1] for tensor in tensors.values() if tensor.dim() > 1), default=1)
    count = min(-(-max_tokens // width), max_sentences or max_tokens)
    rows = torch.arange(count) % batch.num_sentences
    targets = -(-batch.num_targets * count // batch.num_sentences)
    return replace(batch, num_targets=targets, **{name: tensor[rows] for name, tensor in tensors.items()})


class DoesNotFitError(Exception):
    """A trial did not fit."""


class Meter:
    """Most memory that something needs beyond what the process has now."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._before = torch.cuda.memory_reserved() if self._on_gpu else memory.resident_memory()

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def free(self) -> int:
        """Bytes that nobody has."""
        return torch.cuda.mem_get_info()[0] if self._on_gpu else memory.free_memory()

    def __call__(self, run: Callable[[], object]) -> int:
        """Bytes that `run` needs at its peak.

        Raises:
            DoesNotFitError: there were not that many.
        """
        if self._on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        else:
            memory.reset_peak_memory()
        try:
            run()
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise DoesNotFitError from None
            raise
        peak = torch.cuda.max_memory_reserved() if self._on_gpu else memory.peak_memory()
        return peak - self._before


class Search:
    """Finds the largest size whose need is within a limit, of needs that are linear in the size but for a beginning.

    Sizes are doubled as long as the next is expected to fit; from the last two follows the size that fills the memory,
    which is tried too if there is time.

    Args:
        need: bytes that a size takes; raises DoesNotFitError.
        limit: bytes that it may take.
        deadline: on the monotonic clock; nothing is begun that is not expected to end before.
        found: told of each size that fits.
    """

    def __init__(
        self,
        need: Callable[[int], int],
        limit: int,
        deadline: float,
        found: Callable[[int, int], None] = lambda size, peak: None,
    ) -> None:
        self._need, self._limit, self._deadline, self._found = need, limit, deadline, found
        self._points: list[tuple[int, int]] = []
        self._seconds_per_token = 0.0
        self.peak = 0
        """Bytes of the largest size that was tried."""

    def __call__(self, least: int, most: int) -> int | None:
        """The largest size from `least` to `most` that fits; None: `least` does not."""
        if not self._fits(least):
            return None
        while self._tried < most and self._may_try(following := min(2 * self._tried, most)):
            if not self._fits(following):
                most = following - 1
                break
        while (estimate := min(self._estimate(), most)) > CLOSE_ENOUGH * self._tried:
            if not self._in_time(estimate):
                return estimate
            if not self._fits(estimate):
                most = max(self._tried, estimate * 9 // 10)
        return self._tried

    @property
    def _tried(self) -> int:
        """The largest size that fits for certain."""
        return self._points[-1][0]

    def _fits(self, size: int) -> bool:
        started = time.monotonic()
        try:
            self.peak = self._need(size)
        except DoesNotFitError:
            self.peak = self._limit + 1
        if self.peak > self._limit:
            return False
        self._seconds_per_token = (time.monotonic() - started) / size
        self._points.append((size, self.peak))
        self._found(size, self.peak)
        return True

    def _may_try(self, size: int) -> bool:
        return size <= self._estimate() and self._in_time(size)

    def _in_time(self, size: int) -> bool:
        return time.monotonic() + self._seconds_per_token * size < self._deadline

    def _estimate(self) -> int:
        """The size that fills the memory, as far as the sizes tried so far tell."""
        (size, need), furthest = self._points[-1], self._points[-1][0] * LARGEST_EXTRAPOLATION
        earlier_size, earlier_need = self._points[-2] if len(self._points) > 1 else (0, 0)
        if need <= earlier_need:
            return furthest
        slope = (need - earlier_need) / (size - earlier_size)
        return min(furthest, size + int((self._limit - need) / slope))
