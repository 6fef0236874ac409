"""`python -m seqexp.train`: train a model, or resume a run that was interrupted."""

import contextlib
import dataclasses
import logging
import time
from pathlib import Path
from typing import Any

from seqexp.catalog import CATALOG, component_name
from seqexp.checkpoint.store import Checkpoint
from seqexp.config.base import ComponentConfig
from seqexp.config.build import build
from seqexp.config.command import given_overrides
from seqexp.config.saved import to_saved
from seqexp.plugins import run
from seqexp.pretrained import find_checkpoint, load_task
from seqexp.runs.identity import config_digest, run_key
from seqexp.runs.journal import Journal
from seqexp.runs.lease import Lease
from seqexp.runs.provenance import code_changes, provenance
from seqexp.runs.selection import runs_on_other_data, same_order, select_run
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_text
from seqexp.runtime.logs import show_messages, writing_messages
from seqexp.runtime.memory import use_large_pages
from seqexp.runtime.secrets import mask
from seqexp.tasks.base import Task
from seqexp.trackers.following import Following
from seqexp.training.config import Resume, TrainConfig
from seqexp.training.evaluation import Evaluation
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
    """Train; the return value is the best value of `checkpoint.metric`, for sweepers."""
    show_messages()
    use_large_pages()
    task: Task = build(config.task, components=CATALOG, trust=config.trust)
    saved: dict[str, Any] = to_saved(config, component_name)
    parent = parent_checkpoint(config, task)
    origin = {
        "key": run_key(saved, task.identity, parent.content if parent else None),
        "config": config_digest(saved),
        "data": task.identity,
        "parent": {"checkpoint": str(parent.path), "content": parent.content} if parent else None,
        **provenance(config_classes(config)),
    }
    path = Path(config.run.dir or Path(config.run.root) / config.name / origin["key"])
    directory = select_run(path, origin, rerun=config.run.rerun, force=config.run.resume is Resume.force)
    result = directory.result()
    if result is not None:
        print(f"finished already: {directory.path} ({config.checkpoint.metric} {result['best']:.4f})")
        print(
            "run.rerun=true trains it once more, in a directory of its own; for longer training give "
            f"checkpoint.continue_from={directory.path} and another stop rule"
        )
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
    )
    following = Following(directory, config.tracker, tracking_arguments(config))
    if not directory.path.exists():
        task.verify()
        for other in runs_on_other_data(path, origin):
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
        directory.describe(saved, given_overrides(), origin, code_changes())
        training.describe()
        start = {name: origin[name] for name in ("code", "git")}
        journal.write("start", 0, metric=config.checkpoint.metric, maximize=training.store.maximize, **start)
        following.start()
        try:
            return train(training, journal)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            with contextlib.suppress(UserError, OSError):
                kind = "interrupted" if stopped else "failed"
                journal.write(kind, 0, error=mask(f"{type(error).__name__}: {error}"))
            raise


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
    if not any((Path(path) / name).exists() for name in ("config.json", "checkpoint.json")):
        raise UserError(f"checkpoint.continue_from={path} is neither the directory of a run nor that of a checkpoint")
    parent = find_checkpoint(path, "last", config.trust)
    parent.verify()
    if load_task(parent, config.trust).text_identity != task.text_identity:
        raise UserError(
            f"checkpoint.continue_from={path}: its vocabularies or text stages differ from those of the data"
        )
    return parent


def train(training: Training, journal: Journal) -> float:
    """Train to the end, evaluate the best checkpoint, write the result."""
    config = training.config
    num_parameters = sum(parameter.numel() for parameter in training.model.parameters())
    logger.info("model: %s parameters on %s", f"{num_parameters:,}", training.device)
    started = time.monotonic()
    progress = training.train(journal)
    logger.info("stopped by %s after update %d", progress.stop_reason, progress.update)
    best, evaluations = training.final()
    for split, evaluation in evaluations.items():
        journal.write("final", best.update, split=split, metrics=evaluation.metrics)
        write_final(training, split, evaluation)
        show_samples(training, split, evaluation)
    value = float(best.metrics[config.checkpoint.metric])
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
        "parent": None if training.parent is None else str(training.parent.path),
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
