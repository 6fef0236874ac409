"""`python -m seqexp.train`: train a model, or resume a run that was interrupted."""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqexp.catalog import CATALOG, component_name
from seqexp.checkpoint.layout import Checkpoint
from seqexp.config.base import ComponentConfig
from seqexp.config.build import build
from seqexp.config.command import given_overrides
from seqexp.config.saved import to_saved
from seqexp.distributed.launch import in_processes
from seqexp.distributed.world import World
from seqexp.plugins import load_plugins, run
from seqexp.pretrained import find_checkpoint, load_task
from seqexp.runs.directory import RunDirectory
from seqexp.runs.identity import config_digest, run_key
from seqexp.runs.journal import Journal, NoJournal
from seqexp.runs.lease import Lease
from seqexp.runs.provenance import code_changes, provenance
from seqexp.runs.selection import runs_on_other_data, same_order, select_run
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_text
from seqexp.runtime.logs import show_messages, show_no_messages, writing_messages
from seqexp.runtime.memory import use_large_pages
from seqexp.runtime.secrets import mask
from seqexp.tasks.base import Task
from seqexp.trackers.following import Following
from seqexp.training.config import Resume, TrainConfig
from seqexp.training.evaluation import Evaluation
from seqexp.training.finetuning import Source
from seqexp.training.setup import Training

logger = logging.getLogger("seqexp.train")

GROUPS = (
    "task",
    "model",
    "criterion",
    "optimizer",
    "lr_scheduler",
    "precision",
    "distributed",
    "generator",
    "scorer",
    "tracker",
)


def main(config: TrainConfig) -> float:
    """Train, in as many processes as the layout says; the return value is the best value of `checkpoint.metric`, for
    sweepers."""
    use_large_pages()
    value: float = in_processes(config.distributed, train_in_world, config, given_overrides())
    return value


def train_in_world(world: World, config: TrainConfig, overrides: list[str]) -> float:
    """What each process does. The first decides where the run lies, and it alone writes there.

    Args:
        overrides: what the command line says.
    """
    if world.is_first:
        show_messages()
    else:
        show_no_messages()
    load_plugins(config.plugins)  # a process that was started for this has read no command line
    task: Task = build(config.task, components=CATALOG, trust=config.trust)
    saved: dict[str, Any] = to_saved(config, component_name)
    parent, source = parent_checkpoint(config, task), finetuned_model(config)
    path, origin, result = world.from_first(lambda: find_run(config, task, saved, parent, source, world.size))
    directory = RunDirectory(Path(path))
    if result is not None:
        if world.is_first:
            tell_finished(config, directory, result)
        return float(result["best"])
    usable = {group: saved[group] for group in ("task", "model", "precision", "generator")}
    # Everything is built before anything is written: a config that does not work leaves nothing behind.
    training = Training(
        config,
        task,
        directory,
        usable,
        parent,
        same_order=parent is not None and same_order(parent.path.parent.parent, saved, origin),
        source=source,
        world=world,
    )
    with contextlib.ExitStack() as stack:
        if world.is_first:
            journal = stack.enter_context(writing(training, overrides, saved, origin))
            world.wait()
        else:
            world.wait()  # until there is a directory
            journal = stack.enter_context(following_first(training))
        world.reports_to(directory.path, lambda message: journal.write("failed", 0, error=message))
        with world.telling():
            return train(training, journal)


def find_run(
    config: TrainConfig,
    task: Task,
    saved: dict[str, Any],
    parent: Checkpoint | None,
    source: Source | None,
    num_processes: int,
) -> tuple[str, dict[str, Any], dict[str, Any] | None]:
    """Where the run lies, what it comes from, and its result if it is finished.

    Raises:
        UserError: another run is there.
    """
    beginning = parent or (source.checkpoint if source else None)
    origin = {
        "key": run_key(saved, task.identity, beginning_identity(parent, source), num_processes),
        "config": config_digest(saved, num_processes),
        "data": task.identity,
        "parent": {"checkpoint": str(beginning.path), "content": beginning.content} if beginning else None,
        **provenance(config_classes(config)),
    }
    path = Path(config.run.dir or Path(config.run.root) / config.name / origin["key"])
    directory = select_run(path, origin, rerun=config.run.rerun, force=config.run.resume is Resume.force)
    return str(directory.path), origin, directory.result()


def tell_finished(config: TrainConfig, directory: RunDirectory, result: dict[str, Any]) -> None:
    print(f"finished already: {directory.path} ({config.checkpoint.metric} {result['best']:.4f})")
    print(
        "run.rerun=true trains it once more, in a directory of its own; for longer training give "
        f"checkpoint.continue_from={directory.path} and another stop rule"
    )


@contextlib.contextmanager
def writing(
    training: Training, overrides: list[str], saved: dict[str, Any], origin: dict[str, Any]
) -> Iterator[Journal]:
    """Context in which this process owns the run's directory, and tells the journal how the run ends."""
    config, directory = training.config, training.run
    following = Following(directory, config.tracker, tracking_arguments(config))
    if not directory.path.exists():
        training.task.verify()
        for other in runs_on_other_data(directory.path, origin):
            logger.info("%s is a run of the same config on other data; this is a new run", other)
    directory.create()
    with (
        following,  # around the lease: when that is given back, everything is written
        Lease(directory.path) as lease,
        writing_messages(directory.log),
        Journal(directory.journal, may_write=lease.require) as journal,
    ):
        logger.info("run: %s", directory.path)
        if lease.taken_from is not None:
            logger.info("taken over from %s", lease.taken_from)
        directory.describe(saved, overrides, origin, code_changes())
        training.describe()
        start = {name: origin[name] for name in ("code", "git")}
        journal.write("start", 0, metric=config.checkpoint.metric, maximize=training.store.retention.maximize, **start)
        following.start()
        try:
            yield journal
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            with contextlib.suppress(UserError, OSError):
                kind = "interrupted" if stopped else "failed"
                journal.write(kind, 0, error=mask(f"{type(error).__name__}: {error}"))
            raise


@contextlib.contextmanager
def following_first(training: Training) -> Iterator[Journal]:
    """What a process other than the first does in place of `writing`: its warnings go to a file of its own."""
    folder = training.run.path / "ranks"
    if not training.run.path.is_dir():
        raise UserError(
            f"{training.run.path} is not seen here: run.root must be on a file system that all machines share"
        )
    folder.mkdir(exist_ok=True)
    with writing_messages(folder / f"{training.world.rank}.txt"):
        yield NoJournal()


def tracking_arguments(config: TrainConfig) -> list[str]:
    """What the process that sends figures must be told to know the trackers: these the user has named to this one."""
    names = {component_name(type(tracker)) for tracker in config.tracker.values()}
    trusted = sorted({name for name in names if ":" in name} | set(config.trust))
    return [f"plugins=[{','.join(config.plugins)}]", f"trust=[{','.join(trusted)}]"]


def config_classes(config: Any) -> set[type]:
    """The classes of all components in a config."""
    if isinstance(config, dict):
        return set().union(*map(config_classes, config.values()))
    if not dataclasses.is_dataclass(config):
        return set()
    below = (config_classes(getattr(config, field.name)) for field in dataclasses.fields(config))
    own = {type(config)} if isinstance(config, ComponentConfig) else set()
    return own.union(*below)


def parent_checkpoint(config: TrainConfig, task: Task) -> Checkpoint | None:
    """The checkpoint that `checkpoint.continue_from` names.

    Raises:
        UserError: there is none, it is damaged, or it reads and writes other tokens.
    """
    path = config.checkpoint.continue_from
    if path is None:
        return None
    parent = given_checkpoint("continue_from", path, "last", config.trust)
    if load_task(parent, config.trust).text_identity != task.text_identity:
        raise UserError(
            f"checkpoint.continue_from={path}: its vocabularies or text stages differ from those of the data"
        )
    return parent


def finetuned_model(config: TrainConfig) -> Source | None:
    """The model that `checkpoint.finetune_from` names.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = config.checkpoint.finetune_from
    if path is None:
        return None
    checkpoint = given_checkpoint("finetune_from", path, "best", config.trust)
    return Source(checkpoint, load_task(checkpoint, config.trust).vocabularies())


def given_checkpoint(option: str, path: str, which: str, trust: Sequence[str]) -> Checkpoint:
    """A checkpoint at `path`, or `which` one of a run there.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not any((Path(path) / name).exists() for name in ("config.json", "checkpoint.json")):
        raise UserError(f"checkpoint.{option}={path} is neither the directory of a run nor that of a checkpoint")
    checkpoint = find_checkpoint(path, which, trust)
    checkpoint.verify()
    return checkpoint


def beginning_identity(parent: Checkpoint | None, source: Source | None) -> str | None:
    """What the run begins with, for its key: the same checkpoint may be continued, or give its weights only."""
    if source is not None:
        return f"finetune {source.checkpoint.content}"
    return parent.content if parent else None


def train(training: Training, journal: Journal) -> float:
    """Train to the end, evaluate the best checkpoint, write the result."""
    config = training.config
    num_parameters = sum(parameter.numel() for parameter in training.model.parameters())
    logger.info("model: %s parameters on %s", f"{num_parameters:,}", training.device)
    started = time.monotonic()
    progress = training.train(journal)
    logger.info("stopped by %s after update %d", progress.stop_reason, progress.update)
    best, evaluations = training.final()
    value = float(best.metrics[config.checkpoint.metric])
    if not training.world.is_first:
        return value
    for split, evaluation in evaluations.items():
        journal.write("final", best.update, split=split, metrics=evaluation.metrics)
        write_final(training, split, evaluation)
        show_samples(training, split, evaluation)
    figures = {
        "status": "finished",
        "stop_reason": progress.stop_reason,
        "updates": progress.update,
        "epochs": progress.epoch,
        "train_seconds": round(progress.seconds, 1),
        "num_targets": progress.num_targets,
        "num_skipped_examples": progress.num_skipped_examples,
        "num_parameters": num_parameters,
        "metric": config.checkpoint.metric,
        "best": value,
        "best_update": best.update,
        "valid": best.metrics,
        **{split: evaluation.metrics for split, evaluation in evaluations.items()},
        "signatures": {
            name: score.signature for evaluation in evaluations.values() for name, score in evaluation.scores.items()
        },
        "checkpoint": str(best.path),
        "parent": (training.run.provenance().get("parent") or {}).get("checkpoint"),
    }
    journal.write("result", progress.update, seconds=round(time.monotonic() - started, 1))
    path = training.run.finish(figures)
    print(f"result: {path}")
    return value


def write_final(training: Training, name: str, evaluation: Evaluation) -> None:
    """The final translations of a split and their references, line by line: what the scores were computed on."""
    if not evaluation.hypotheses:
        return
    split, folder = training.task.load_split(name, training.model), training.run.path / "final" / name
    write_text(folder / "hypotheses.txt", "".join(f"{text}\n" for text in evaluation.hypotheses))
    if split.has_references:
        references = (split.references(number)[0] for number in range(len(evaluation.hypotheses)))
        write_text(folder / "references.txt", "".join(f"{text}\n" for text in references))


def show_samples(training: Training, name: str, evaluation: Evaluation) -> None:
    """A few translations, evenly spaced over the split, and the scores, for a person to read."""
    split = training.task.load_split(name, training.model)
    total, wanted = len(evaluation.hypotheses), training.config.validation.num_samples
    for number in (total * sample // wanted for sample in range(min(wanted, total))):
        print(f"  source      {split.source_text(number)}")
        print(f"  translation {evaluation.hypotheses[number]}")
        print(f"  reference   {split.references(number)[0]}\n")
    print(f"{name}: loss {evaluation.metrics['loss']:.4f}, perplexity {evaluation.metrics['perplexity']:.3f}")
    for score in evaluation.scores.values():
        print(f"{name}: {score.text}")


def cli() -> None:
    run("train", TrainConfig, main, GROUPS)


if __name__ == "__main__":
    cli()
