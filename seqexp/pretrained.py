"""Trained models for use from Python: text in, text out.

from seqexp.pretrained import load_model
model = load_model("outputs/default/0123456789ab")
model.translate(["A dog runs."])
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from seqexp.catalog import CATALOG, config_class
from seqexp.checkpoint.layout import Checkpoint, Weights, open_checkpoint
from seqexp.checkpoint.retention import Retention
from seqexp.checkpoint.store import CheckpointStore
from seqexp.config.base import require
from seqexp.config.build import build
from seqexp.config.saved import from_saved
from seqexp.data.batch import Batch, PairBatch
from seqexp.data.batching import BatchLimits
from seqexp.data.guided import GuidedSplit
from seqexp.data.split import Split
from seqexp.distributed.base import Device
from seqexp.generators.base import Generator, GeneratorConfig
from seqexp.generators.batches import evaluation_batches, generate_batches
from seqexp.generators.reference import score_reference
from seqexp.generators.sampling import SamplingConfig
from seqexp.models.base import LanguageModel, Model, ModelConfig, Seq2SeqModel
from seqexp.plugins import load_plugins
from seqexp.precisions.base import Precision, PrecisionConfig
from seqexp.runs.directory import RunDirectory, open_run
from seqexp.runtime.errors import UserError
from seqexp.scorers.base import ScorerConfig
from seqexp.tasks.base import Task, TaskConfig
from seqexp.training.config import CheckpointConfig, metric_name

T = TypeVar("T")


@dataclass
class DataPlace:
    """The `task` of commands that take everything else of it from a run."""

    data: str | None = None
    """Data directory; null: the one that the run was trained on."""


@dataclass(frozen=True)
class Translation:
    """One hypothesis as text."""

    text: str
    score: float
    """What hypotheses are ranked by, in nats; normalised as the generator says."""
    tokens: list[str]
    """As the model wrote it, before the text stages were undone; ends in `</s>`."""
    token_scores: list[float]
    """Log-probability of each token, in nats."""


@dataclass(frozen=True)
class ScoredText:
    """A given target and what the models say of it."""

    text: str
    log_prob: float
    """Of the whole, `</s>` included, in nats; not normalised."""
    tokens: list[str]
    """As the model reads it; ends in `</s>`."""
    token_scores: list[float]
    """Log-probability of each token, in nats."""


NOTHING = Translation(text="", score=0.0, tokens=[], token_scores=[])
"""Of an empty line."""


@dataclass
class TrainedModel:
    """One model, or several that vote, with the text stages and the generator that they were trained with."""

    task: Task
    models: Sequence[Model]
    generator: Generator
    precision: Precision
    """That of the training, so that scores are those of the validation."""
    limits: BatchLimits

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """The best translation of each sentence; empty where the search found none."""
        return [best_text(translations) for translations in self.nbest(sentences)]

    def nbest(
        self,
        sentences: Sequence[str],
        *,
        prefixes: Sequence[str] | None = None,
        constraints: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Translation]]:
        """The translations of each sentence, best first, as many as the generator's `nbest` says.

        Args:
            prefixes: for each sentence, what its translations begin with; "" is anything.
            constraints: for each sentence, the phrases that its translations contain, for `generator=constrained_beam`.
                None: those that are in the sentences, as `encode` reads them.

        Raises:
            TypeError: one string instead of a list.
            ValueError: not as many prefixes or constraints as sentences, or the generator does not know constraints.
        """
        _refuse_one_string(sentences)
        split = self.encode(sentences) if constraints is None else self.task.encode(sentences)
        if prefixes is not None or constraints is not None:
            split = guided(self.task, split, prefixes, constraints)
        found = dict(self.generate(split))
        return [found[number] for number in range(len(sentences))]

    def encode(self, lines: Sequence[str]) -> Split:
        """Raw text to translate, as a split. If the generator takes constraints, what follows a tab in a line, up to
        the next one, is a phrase that the translations contain.

        Raises:
            UserError: the generator needs references, or a phrase has a word that the vocabulary lacks.
        """
        if self.generator.needs_references:
            raise UserError("generator.prefix_size: raw text has no references whose first words could be given")
        if not self.generator.sees_to_constraints:
            return self.task.encode(lines)
        parts = [line.split("\t") for line in lines]
        phrases = [[phrase for phrase in given if phrase.strip()] for _, *given in parts]
        return guided(self.task, self.task.encode([sentence for sentence, *_ in parts]), None, phrases)

    def sample(
        self, sentences: Sequence[str], *, num_samples: int = 1, seed: int = 1, **options: Any
    ) -> list[list[Translation]]:
        """Random translations of each sentence, the likeliest first.

        Args:
            seed: the same one gives the same translations, whatever the other sentences are.
            options: of `generator=sampling`: `temperature`, `top_k`, `top_p`, ...

        Raises:
            TypeError: one string instead of a list, or an option that there is not.
            ValueError: an option's value is not valid.
        """
        config = SamplingConfig(num_samples=num_samples, seed=seed, **options)
        return dataclasses.replace(self, generator=self.task.build_generator(config)).nbest(sentences)

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[ScoredText]:
        """How likely the models find each target as the translation of its source.

        Raises:
            TypeError: one string instead of a list.
            ValueError: unequal numbers of them.
        """
        _refuse_one_string(sources, targets)
        if len(sources) != len(targets):
            raise ValueError(f"{len(sources)} sources and {len(targets)} targets: give one target for each source")
        split = self.task.encode_pairs(sources, targets)
        pad = self.task.vocabularies()["target"].pad
        models = [model for model in self.models if isinstance(model, Seq2SeqModel)]
        found: dict[int, ScoredText] = {}
        for batch in evaluation_batches(split, self.limits):
            assert isinstance(batch, PairBatch)
            with self.precision.autocast():
                scored = score_reference(models, batch.to(self.precision.device), pad)
            for number, hypothesis in zip(batch.indices.tolist(), scored, strict=True):
                symbols, scores = self.task.symbols(hypothesis.tokens), hypothesis.positional_scores.tolist()
                found[number] = ScoredText(targets[number], hypothesis.score, symbols, scores)
        return [found[number] for number in range(len(sources))]

    def generate(self, split: Split, batches: Iterable[Batch] | None = None) -> Iterator[tuple[int, list[Translation]]]:
        """Translate a split, or these batches of it; yields numbers of examples with their translations, batch by
        batch. Without `batches` short sentences come first."""
        if batches is None:
            batches = evaluation_batches(split, self.limits)
        for number, hypotheses in generate_batches(self.generator, self.models, batches, self.precision):
            if not split.source_text(number).strip():
                yield number, [NOTHING]  # whatever a model would make up of an empty line
                continue
            yield (
                number,
                [
                    Translation(
                        text=self.task.decode(hypothesis.tokens),
                        score=hypothesis.score,
                        tokens=self.task.symbols(hypothesis.tokens),
                        token_scores=hypothesis.positional_scores.tolist(),
                    )
                    for hypothesis in hypotheses
                ],
            )


def _refuse_one_string(*lists: Sequence[str]) -> None:
    if any(isinstance(sentences, str) for sentences in lists):
        raise TypeError("give a list of sentences: [text]")


def guided(
    task: Task, split: Split, prefixes: Sequence[str] | None, constraints: Sequence[Sequence[str]] | None
) -> Split:
    """A split with what is asked of its hypotheses, as text; see `TrainedModel.nbest`.

    Raises:
        UserError: a constraint has a word that the vocabulary lacks, so no hypothesis can contain it.
    """
    for name, given in (("prefixes", prefixes), ("constraints", constraints)):
        right = f"give one for each of the {len(split)} sentences"
        require(given is None or len(given) == len(split), name, f"{len(given or [])} of them", right)
    words = task.vocabularies()["target"]
    encoded = None if constraints is None else [task.encode_target(phrases) for phrases in constraints]
    for phrases, indices in zip(constraints or [], encoded or [], strict=True):
        for phrase, each in zip(phrases, indices, strict=True):
            if words.unk in each:
                raise UserError(f"constraint {phrase!r}: the vocabulary lacks a word of it")
    return GuidedSplit(split, None if prefixes is None else task.encode_target(prefixes), encoded, pad=words.pad)


def best_text(translations: Sequence[Translation]) -> str:
    """The first of the translations; empty where the search found none, as with weights that are not finite."""
    return translations[0].text if translations else ""


def load_model(
    *paths: str | Path,
    checkpoint: str = "best",
    weights: Weights = Weights.validated,
    generator: GeneratorConfig | None = None,
    device: Device = Device.auto,
    max_tokens: int = 4096,
    trust: Sequence[str] = (),
) -> TrainedModel:
    """Load what one run has learnt, or several as an ensemble.

    Args:
        paths: directories of runs or of single checkpoints.
        checkpoint: `best`, `last` or the number of an update, of a run; or a checkpoint's directory.
        weights: which of a checkpoint's weights; they differ where a moving average was kept.
        generator: how to search; None as in training.
        device: where to compute.
        max_tokens: most source tokens of a batch, padding included.
        trust: components from outside the catalog that the checkpoint may name, `module:ConfigClass`.

    Raises:
        UserError: a path holds no model, or the models have different vocabularies.
    """
    load_plugins()
    checkpoints = [find_checkpoint(path, checkpoint, trust) for path in paths]
    first = checkpoints[0]
    task = load_task(first, trust)
    for other in checkpoints[1:]:
        if load_task(other, trust).text_identity != task.text_identity:
            raise UserError(f"{other.path}: its vocabularies or text stages differ from those of {first.path}")
    resolved = device.resolve()
    saved_precision = _config(first.config()["precision"], PrecisionConfig, str(first.path), trust)
    precision: Precision = build(saved_precision, device=resolved)
    models = [_load_weights(each, weights, load_task(each, trust), precision, trust) for each in checkpoints]
    generator = generator or saved_generator(first, trust)
    limits = BatchLimits(max_tokens=max_tokens, max_sentences=None)
    searcher = task.build_generator(generator)
    searcher.fuse(partial(_language_model, task=task, precision=precision, trust=trust))
    return TrainedModel(task, models, searcher, precision, limits)


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
