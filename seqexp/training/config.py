"""The root config of `train`."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from seqexp.config.base import CommandConfig, require
from seqexp.criterions.base import CriterionConfig
from seqexp.data.batching import Order
from seqexp.distributed.base import DistributedConfig
from seqexp.generators.base import GeneratorConfig
from seqexp.lr_schedulers.base import LRSchedulerConfig
from seqexp.models.base import ModelConfig
from seqexp.optimizers.base import OptimizerConfig
from seqexp.precisions.base import PrecisionConfig
from seqexp.runtime.errors import UserError
from seqexp.scorers.base import ScorerConfig
from seqexp.tasks.base import TaskConfig
from seqexp.trackers.base import TrackerConfig
from seqexp.training.ema import EMAConfig
from seqexp.training.finetuning import FinetuneConfig
from seqexp.training.intervals import Interval
from seqexp.training.memory import MemoryConfig
from seqexp.training.non_finite import NonFiniteConfig, Policy
from seqexp.training.step import NormalizeBy

MINIMIZED = ("loss", "nll_loss", "perplexity")
"""Validation metrics that every run has; they should be low."""


@dataclass
class BatchConfig:
    """An update's batch: `micro_batches` parts, each as large as memory allows."""

    max_tokens: int | None = 1024
    """Most tokens of a micro-batch, padding included, on the longer side; null: no limit. The default suits the small
    default model on a CPU; with a GPU take as many as its memory holds."""
    max_sentences: int | None = None
    """Most sentences of a micro-batch; null: no limit."""
    micro_batches: int = 1
    """Micro-batches of an update, over all processes: the batch size does not depend on how many share the work."""
    fit: bool = False
    """Find the largest `max_tokens` that fits into memory before the first update, by trial, in less than a minute.
    `micro_batches` then changes with it, so that an update has as many tokens as `max_tokens` x `micro_batches` say,
    and each of several processes as many micro-batches, where that is possible. The run keeps what was found, also when
    it is resumed on another machine."""
    fit_memory: int | None = None
    """With `fit`, memory in MiB that an update may take besides what the process has before it; null: nine tenths of
    what is free, on the GPU or, where there is none, in the machine or the job's share of it, which its processes share
    equally."""
    multiple_of: int = 1
    """Micro-batches have a multiple of so many sentences where they can; none is dropped for it."""
    normalize_by: NormalizeBy = NormalizeBy.targets
    """What the summed loss of an update is divided by: its `targets` or its `sentences` (fairseq's `sentence_avg`). The
    metrics are per target in any case."""
    order: Order = Order.shuffled
    """Of the training examples: `shuffled` draws batches of similar length anew in every epoch."""
    curriculum: int = 0
    """So many epochs at the beginning have the order `by_length`, short examples first."""
    num_buckets: int = 0
    """Pad training batches to so many widths at most, on each side: quantiles of the lengths. 0: to their longest
    example. Fewer shapes suit compilers and memory allocators; `max_tokens` counts the padding."""
    pad_to_multiple: int = 1
    """Pad training batches to widths that are multiples of this, as far as the model's positions reach."""
    num_workers: int = 0
    """Processes that prepare batches beside the training; 0: in its own. The order is the same."""

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_sentences"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name}", value, "a count above 0, or null for no limit")
        require(
            self.max_tokens is not None or self.max_sentences is not None,
            "max_tokens",
            self.max_tokens,
            "give it or batch.max_sentences a number",
        )
        require(not self.fit or self.max_tokens is not None, "fit", "true", "give batch.max_tokens a number with it")
        memory = self.fit_memory
        require(memory is None or memory > 0, "fit_memory", memory, "a number above 0, or null for what is free")
        require(self.fit or memory is None, "fit_memory", memory, "it needs batch.fit=true")
        require(self.micro_batches > 0, "micro_batches", self.micro_batches, "a count above 0")
        for name in ("multiple_of", "pad_to_multiple"):
            require(getattr(self, name) > 0, name, getattr(self, name), "a count above 0")
        for name in ("num_workers", "curriculum", "num_buckets"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a count from 0")
        shuffled = self.order is Order.shuffled
        require(shuffled or not self.curriculum, "curriculum", self.curriculum, "it needs batch.order=shuffled")


@dataclass
class ValidationConfig:
    """When and on what the model is evaluated."""

    every: Interval = field(default_factory=Interval)
    splits: list[str] = field(default_factory=lambda: ["valid"])
    """The metrics of the first are called `loss`, `bleu`, ...; those of the others `<split>/loss`, ..."""
    final_splits: list[str] | None = None
    """Evaluated once at the end with the best checkpoint; null: all that the data has besides `train` and `splits`."""
    scores: bool = True
    """Translate and compute every scorer, besides the loss."""
    after_updates: int = 0
    """No validation before so many updates, but at the end."""
    sanity: int = 2
    """Batches to evaluate before the first update, so that a mistake shows at once."""
    num_samples: int = 5
    """Translations to show at the end."""
    seed: int | None = None
    """Of what is drawn in each validation, which is then the same in all of them; null: each draws something else."""

    def __post_init__(self) -> None:
        for name in ("after_updates", "sanity", "num_samples"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "a count from 0")
        require(self.seed is None or self.seed >= 0, "seed", self.seed, "a whole number from 0, or null")
        unique = bool(self.splits) and len(set(self.splits)) == len(self.splits)
        require(unique, "splits", self.splits, "at least one name, and each once")

    def final(self, there: list[str]) -> list[str]:
        """The splits to evaluate at the end, of those that the data has.

        Raises:
            UserError: it does not have one.
        """
        if self.final_splits is None:
            return [name for name in there if name not in ("train", *self.splits)]
        for name in self.final_splits:
            if name not in there:
                raise UserError(f"validation.final_splits: the data has no split {name!r}, only {', '.join(there)}")
        return self.final_splits


@dataclass
class CheckpointConfig:
    """When checkpoints are written and which are kept."""

    every: Interval = field(default_factory=Interval)
    continue_from: str | None = None
    """A run, of which its last checkpoint is taken, or a checkpoint: this run begins with its weights, optimizer state
    and counts, for longer training or other options. Null: from the start."""
    finetune_from: str | None = None
    """A run, of which its best checkpoint is taken, or a checkpoint: this run begins with its weights alone, as far as
    `finetune` says. Null: with fresh ones."""
    asynchronous: bool = True
    """Write beside the training, which waits only for a copy of weights and optimizer state in the machine's memory;
    false: without a copy, while the training waits. The result is the same."""
    keep_last: int = 2
    """Newest checkpoints to keep."""
    keep_best: int = 1
    """Best ones to keep besides; they are written at validations."""
    keep_every_updates: int | None = None
    """Write one besides at every multiple of this, and keep it; null: none."""
    metric: str = "loss"
    """Validation metric that says which is best: `loss`, `nll_loss`, `perplexity` or the name of a scorer; of a split
    that is not the first of `validation.splits`, `<split>/loss`, ..."""

    def __post_init__(self) -> None:
        require(self.keep_last > 0, "keep_last", self.keep_last, "a count above 0")
        require(self.keep_best >= 0, "keep_best", self.keep_best, "a count from 0")
        every = self.keep_every_updates
        require(every is None or every > 0, "keep_every_updates", every, "a count above 0, or null")
        both = self.continue_from is not None and self.finetune_from is not None
        require(not both, "finetune_from", self.finetune_from, "it excludes checkpoint.continue_from")


@dataclass
class StopConfig:
    """The run ends when the first of these is reached; null: not counted. All null: after four epochs."""

    max_updates: int | None = None
    """Updates."""
    max_epochs: int | None = None
    """Passes over the training data."""
    max_hours: float | None = None
    """Hours of training, those before an interruption included."""
    min_lr: float | None = None
    """Once the rate has come down to this after the warm-up; of several groups of parameters, the highest rate."""
    patience: int | None = None
    """Validations in a row without a better value of `checkpoint.metric`."""

    def __post_init__(self) -> None:
        for name in ("max_updates", "max_epochs", "max_hours", "min_lr", "patience"):
            value = getattr(self, name)
            require(value is None or value > 0, f"{name}", value, "a number above 0, or null")

    @property
    def epochs(self) -> int | None:
        """`max_epochs`, or four where there is no rule at all."""
        no_rule = not any((self.max_updates, self.max_epochs, self.max_hours, self.min_lr, self.patience))
        return 4 if no_rule else self.max_epochs


class Resume(StrEnum):
    """Whether an unfinished run goes on."""

    same_code = "same_code"
    """If code and packages are those that it was started with; otherwise it is refused."""
    force = "force"
    """In any case."""


@dataclass
class RunConfig:
    root: str = "outputs"
    """Runs lie in `<root>/<name>/<key>`; the key is a hash of the config and the data."""
    dir: str | None = None
    """This directory instead."""
    resume: Resume = Resume.same_code
    """Whether an unfinished run goes on."""
    rerun: bool = False
    """Once more from the start, in `<key>-2`, `<key>-3`, ...; an unfinished rerun goes on."""


@dataclass
class LogConfig:
    every_updates: int = 50
    """Updates between two lines of training metrics in the journal and on the screen."""

    def __post_init__(self) -> None:
        require(self.every_updates > 0, "every_updates", self.every_updates, "a count above 0")


@dataclass
class TrainConfig(CommandConfig):
    """Trains a model, and resumes the run of the same config where it was interrupted."""

    name: str = "default"
    """Experiment that the run belongs to: a folder below `run.root`."""
    seed: int = 1
    """Of all randomness: initial weights, order of the data, dropout."""
    task: TaskConfig = MISSING
    model: ModelConfig = MISSING
    criterion: CriterionConfig = MISSING
    freeze: list[str] = field(default_factory=list)
    """Parameters that keep their initial values: patterns such as `encoder.*`, in which `*` stands for anything, and
    names of kinds (`embedding`, `norm`, `bias`, `hidden_matrix`)."""
    optimizer: OptimizerConfig = MISSING
    lr_scheduler: LRSchedulerConfig = MISSING
    clip_norm: float | None = 1.0
    """Largest norm of an update's gradient, which is scaled down to it; null: no limit."""
    batch: BatchConfig = field(default_factory=BatchConfig)
    ema: EMAConfig = field(default_factory=EMAConfig)
    precision: PrecisionConfig = MISSING
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    non_finite: NonFiniteConfig = field(default_factory=NonFiniteConfig)
    distributed: DistributedConfig = MISSING
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    generator: GeneratorConfig = MISSING
    scorer: dict[str, ScorerConfig] = field(default_factory=dict)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    stop: StopConfig = field(default_factory=StopConfig)
    log: LogConfig = field(default_factory=LogConfig)
    tracker: dict[str, TrackerConfig] = field(default_factory=dict)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require(self.seed >= 0, "seed", self.seed, "a whole number from 0")
        require(self.clip_norm is None or self.clip_norm > 0, "clip_norm", self.clip_norm, "a number above 0, or null")
        require(bool(self.name) and "/" not in self.name, "name", self.name, "a folder's name")
        self._require_metric()
        scored = metric_name(self.checkpoint.metric) in self.scorer
        require(
            self.validation.scores or not scored,
            "checkpoint.metric",
            self.checkpoint.metric,
            "it is computed with validation.scores=true only",
        )
        if self.non_finite.policy is Policy.rollback:
            for name, interval in (("checkpoint", self.checkpoint.every), ("validation", self.validation.every)):
                right = "with non_finite.policy=rollback say updates or epochs, or the result would depend on the clock"
                require(interval.minutes is None, f"{name}.every.minutes", interval.minutes, right)
        _require_unchanged("finetune", self.finetune, self.checkpoint.finetune_from, "checkpoint.finetune_from")
        _require_unchanged("ema", self.ema, self.ema.decay, "ema.decay")

    def _require_metric(self) -> None:
        """
        Raises:
            OptionError: nothing computes `checkpoint.metric`, or nobody knows whether it should be high or low.
        """
        names = [*MINIMIZED, *self.scorer]
        names += [f"{split}/{name}" for split in self.validation.splits[1:] for name in names]
        metric = self.checkpoint.metric
        require(metric in names, "checkpoint.metric", metric, f"one of {', '.join(names)}")


def metric_name(metric: str) -> str:
    """A key of the validation metrics without the split."""
    return metric.rpartition("/")[2]


def _require_unchanged(section: str, given: Any, needed: Any, key: str) -> None:
    """
    Raises:
        OptionError: an option is set that nothing reads, because the one that it depends on is null.
    """
    for option in fields(given):
        value = getattr(given, option.name)
        if needed is None and value != getattr(type(given)(), option.name):
            require(False, f"{section}.{option.name}", value, f"it needs {key}")
