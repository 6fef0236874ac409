"""Trained models for use from Python: text in, text out.

from seqexp.pretrained import load_model
model = load_model("outputs/default/0123456789ab")
model.translate(["A dog runs."])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import MISSING

from seqexp.catalog import CATALOG, config_class
from seqexp.checkpoint.layout import Checkpoint, Weights, open_checkpoint
from seqexp.checkpoint.retention import Retention
from seqexp.checkpoint.store import CheckpointStore
from seqexp.config.base import CommandConfig, one_or_more, require
from seqexp.config.build import build
from seqexp.config.saved import from_saved
from seqexp.data.batching import BatchLimits
from seqexp.distributed.base import Device
from seqexp.engines.base import Engine, EngineConfig, Trained
from seqexp.engines.torch import TorchConfig
from seqexp.generators.attention import attending
from seqexp.generators.base import GeneratorConfig
from seqexp.generators.unknown_words import UnknownWords
from seqexp.models.base import LanguageModel, Model, ModelConfig
from seqexp.models.kept_dropout import KeptDropout
from seqexp.plugins import load_plugins
from seqexp.precisions.base import Precision, PrecisionConfig
from seqexp.runs.directory import RunDirectory, open_run
from seqexp.runtime.errors import UserError
from seqexp.scorers.base import ScorerConfig
from seqexp.tasks.base import Task, TaskConfig
from seqexp.trained_model import ScoredText as ScoredText
from seqexp.trained_model import TrainedModel as TrainedModel
from seqexp.trained_model import Translation as Translation
from seqexp.training.config import CheckpointConfig, metric_name

T = TypeVar("T")


@dataclass
class DataPlace:
    """The `task` of commands that take everything else of it from a run."""

    data: str | None = None
    """Data directory; null: the one that the run was trained on."""


@dataclass
class TrainedModelConfig(CommandConfig):
    """Base of the configs of commands that use what one run has learnt, or several as an ensemble."""

    run: Any = MISSING
    """Directory of a run or of a checkpoint; a list of them for an ensemble."""
    checkpoint: str = "best"
    """Of a run: best, last, the number of an update, or a checkpoint's directory."""
    weights: Weights = Weights.validated
    """Of a run with a moving average, which ones: those that were `validated`, those that the optimizer has `trained`,
    or the `averaged` ones."""
    max_tokens: int = 4096
    """Most tokens of a batch, padding included."""
    device: Device = Device.auto

    def __post_init__(self) -> None:
        self.run = one_or_more("run", self.run, "directory")
        require(self.max_tokens > 0, "max_tokens", self.max_tokens, "a count above 0")

    def load(self, **options: Any) -> TrainedModel:
        """`load_model` with these options and others."""
        return load_model(
            *self.run,
            checkpoint=self.checkpoint,
            weights=self.weights,
            device=self.device,
            max_tokens=self.max_tokens,
            trust=self.trust,
            **options,
        )


def load_model(
    *paths: str | Path,
    checkpoint: str = "best",
    weights: Weights = Weights.validated,
    generator: GeneratorConfig | None = None,
    engine: EngineConfig | None = None,
    device: Device = Device.auto,
    max_tokens: int = 4096,
    keep_dropout: bool | Sequence[str] = False,
    dropout_seed: int = 1,
    replace_unknown: str | None = None,
    trust: Sequence[str] = (),
) -> TrainedModel:
    """Load what one run has learnt, or several as an ensemble.

    Args:
        paths: directories of runs or of single checkpoints.
        checkpoint: `best`, `last` or the number of an update, of a run; or a checkpoint's directory.
        weights: which of a checkpoint's weights; they differ where a moving average was kept.
        generator: how to search; None as in training.
        engine: what computes the search; None is torch.
        device: where to compute.
        max_tokens: most source tokens of a batch, padding included.
        keep_dropout: patterns of the names of modules whose dropout stays as in training; True for all.
        dropout_seed: what it drops follows from this, and from the numbers of a batch's examples.
        replace_unknown: `copy`, or the file of a dictionary: what stands in place of `<unk>`, see `UnknownWords`.
        trust: components from outside the catalog that the checkpoint may name, `module:ConfigClass`.

    Raises:
        UserError: a path holds no model, the models have different vocabularies, or a pattern matches nothing.
    """
    dropout = KeptDropout.of(keep_dropout, dropout_seed)
    unknown = None if replace_unknown is None else UnknownWords.of(replace_unknown)
    load_plugins()
    checkpoints = [find_checkpoint(path, checkpoint, trust) for path in paths]
    first = checkpoints[0]
    tasks = [load_task(each, trust) for each in checkpoints]
    task = tasks[0]
    for other, its_task in zip(checkpoints, tasks, strict=True):
        if its_task.text_identity != task.text_identity:
            raise UserError(f"{other.path}: its vocabularies or text stages differ from those of {first.path}")
        if its_task.languages != task.languages:
            one, another = ("-".join(each.languages) for each in (its_task, task))
            raise UserError(f"{other.path} is a model of {one}, and {first.path} one of {another}: they cannot vote")
    resolved = device.resolve()
    saved_precision = _config(first.config()["precision"], PrecisionConfig, str(first.path), trust)
    precision: Precision = build(saved_precision, device=resolved)
    pairs = zip(checkpoints, tasks, strict=True)
    models = [_load_weights(each, weights, its_task, precision, trust) for each, its_task in pairs]
    for model in models:
        dropout.keep(model)
    generator = generator or saved_generator(first, trust)
    limits = BatchLimits(max_tokens=max_tokens, max_sentences=None)
    if unknown is not None:
        option = f"replace_unknown={replace_unknown}"
        if any(isinstance(model, LanguageModel) for model in models):
            raise UserError(f"{option}: a language model has no source to take words from")
        generator = attending(generator, option)
    engine = engine or TorchConfig()
    if dropout.patterns and not isinstance(engine, TorchConfig):
        raise UserError(f"keep_dropout={','.join(dropout.patterns)} needs engine=torch")
    searching: Engine = build(engine)
    content = [each.content_of(weights) for each in checkpoints]
    searcher = searching.generator(generator, Trained(task, models, content, Path(paths[0])))
    searcher.fuse(partial(_language_model, task=task, precision=precision, trust=trust))
    return TrainedModel(task, models, searcher, precision, limits, dropout, unknown)


def find_checkpoint(path: str | Path, which: str, trust: Sequence[str] = ()) -> Checkpoint:
    """The checkpoint `which` of a run, or the one at `path` or at `which` itself.

    Raises:
        UserError: there is none.
    """
    for directory in (Path(path), Path(which)):
        if (directory / "checkpoint.json").exists():
            return open_checkpoint(directory)
    store = checkpoints_of(open_run(path), trust)
    found = {"best": store.best, "last": store.last}.get(which, lambda: _numbered(store, which))()
    if found is None:
        raise UserError(f"run={path} has no checkpoint yet")
    return found


def checkpoints_of(run: RunDirectory, trust: Sequence[str] = ()) -> CheckpointStore:
    """The checkpoints of a run, to read."""
    metric = run_part(run, "checkpoint", CheckpointConfig, trust).metric
    scorer = run.read_config().get("scorer", {}).get(metric_name(metric))
    maximize = scorer is not None and _config(scorer, ScorerConfig, str(run.config), trust).higher_is_better
    return CheckpointStore(run.checkpoints, Retention(metric, maximize))


def run_part(run: RunDirectory, name: str, expected: type[T], trust: Sequence[str] = ()) -> T:
    """One part of the config that a run was started with, such as its task. The others are not looked at: what only
    training needs, a schedule of one's own, need not be there.

    Raises:
        UserError: the config is damaged, or names a component that is neither in the catalog nor trusted.
    """
    saved = run.read_config()
    if name not in saved:
        raise UserError(f"{run.config}: has no {name}")
    return _config(saved[name], expected, str(run.config), trust)


def _config(saved: Any, expected: type[T], source: str, trust: Sequence[str]) -> T:
    return from_saved(saved, expected, partial(config_class, trust=trust), source)


def saved_generator(checkpoint: Checkpoint, trust: Sequence[str] = ()) -> GeneratorConfig:
    """The generator that scored the checkpoint in validation."""
    return _config(checkpoint.config()["generator"], GeneratorConfig, str(checkpoint.path), trust)


def run_generator(
    run: str, checkpoint: str, composed: GeneratorConfig, overridden: Sequence[str] | None, trust: Sequence[str] = ()
) -> GeneratorConfig:
    """The generator that a run was validated with, changed by what a command line says.

    Args:
        composed: the command's own generator config.
        overridden: the options that the command line sets; None where it chooses the generator itself.
    """
    if overridden is None:
        return composed
    generator = saved_generator(find_checkpoint(run, checkpoint, trust), trust)
    for name in overridden:
        if not hasattr(generator, name):
            raise UserError(f"generator.{name}: the run's generator, {type(generator).__name__}, has no such option")
        setattr(generator, name, getattr(composed, name))
    return generator


def load_task(checkpoint: Checkpoint, trust: Sequence[str] = ()) -> Task:
    """The task with the vocabularies and text stages that lie in the checkpoint; it has no splits."""
    config = _config(checkpoint.config()["task"], TaskConfig, str(checkpoint.path), trust)
    task: Task = build(config, directory=checkpoint.path / "task", components=CATALOG, trust=trust)
    return task


def load_data(checkpoint: Checkpoint, data: str | None = None, trust: Sequence[str] = ()) -> Task:
    """The task with the data that a checkpoint was trained on, or with that of another directory.

    Raises:
        UserError: the data is not there, or its vocabularies or text stages are not those of the checkpoint.
    """
    run = RunDirectory(checkpoint.path.parent.parent)
    saved = load_task(checkpoint, trust)
    config = run_part(run, "task", TaskConfig, trust) if run.config.exists() else saved.config
    config.data = data or config.data
    if config.data is not None and not Path(config.data).is_dir():
        raise UserError(f"task.data={config.data} is not there; say where it is now with task.data=")
    task: Task = build(config, components=CATALOG, trust=trust)
    if task.text_identity != saved.text_identity:
        raise UserError(f"task.data={task.directory}: its vocabularies or text stages differ from those of the model")
    return task


def _load_weights(
    checkpoint: Checkpoint, weights: Weights, task: Task, precision: Precision, trust: Sequence[str]
) -> Model:
    checkpoint.verify()
    config = _config(checkpoint.config()["model"], ModelConfig, str(checkpoint.path), trust)
    model = task.build_model(config)
    model.load_state_dict(checkpoint.weights(weights))
    model.to(precision.device)
    precision.prepare(model)
    return model.eval()


def _language_model(path: str, task: Task, precision: Precision, trust: Sequence[str]) -> LanguageModel:
    """The best checkpoint of a language model's run, for a search among the outputs of `task`.

    Raises:
        UserError: it is another kind of model, or has another vocabulary.
    """
    checkpoint = find_checkpoint(path, "best", trust)
    its_task = load_task(checkpoint, trust)
    model = _load_weights(checkpoint, Weights.validated, its_task, precision, trust)
    if not isinstance(model, LanguageModel):
        raise UserError(f"generator.lm={path} is a {type(model).__name__}; give a language model")
    if its_task.vocabularies().get("target") != task.vocabularies().get("target"):
        raise UserError(f"generator.lm={path}: its vocabulary is not that of the model's outputs")
    return model


def _numbered(store: CheckpointStore, which: str) -> Checkpoint:
    by_update = {str(checkpoint.update): checkpoint for checkpoint in store.all()}
    if which not in by_update:
        raise UserError(f"checkpoint={which} is not there; give one of {', '.join(['best', 'last', *by_update])}")
    return by_update[which]
