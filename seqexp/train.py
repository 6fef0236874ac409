"""`python -m seqexp.train`: train a model, or resume a run that was interrupted."""

import logging
import time
from pathlib import Path
from typing import Any

from seqexp.catalog import CATALOG, component_name, schemas
from seqexp.config.build import build
from seqexp.config.command import given_overrides, run
from seqexp.config.saved import to_saved
from seqexp.runs.directory import RunDirectory, fresh_sibling
from seqexp.runs.identity import run_key
from seqexp.runs.journal import Journal
from seqexp.runs.lease import Lease
from seqexp.runs.provenance import provenance
from seqexp.runtime.logs import show_messages, writing_messages
from seqexp.runtime.memory import use_large_pages
from seqexp.tasks.base import Task
from seqexp.training.config import TrainConfig
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
)


def main(config: TrainConfig) -> float:
    """Train; the return value is the best value of `checkpoint.metric`, for sweepers."""
    show_messages()
    use_large_pages()
    task: Task = build(config.task, components=CATALOG)
    saved: dict[str, Any] = to_saved(config, component_name)
    key = run_key(saved, task.identity)
    directory = run_directory(config, key)
    directory.refuse_other_run(key)
    result = directory.result()
    if result is not None:
        print(f"finished already: {directory.path} ({config.checkpoint.metric} {result['best']:.4f})")
        print("run.rerun=true trains it once more, in a directory of its own")
        return float(result["best"])
    usable = {group: saved[group] for group in ("task", "model", "generator")}
    # Everything is built before anything is written: a config that does not work leaves nothing behind.
    training = Training(config, task, directory, usable)
    directory.create()
    with Lease(directory.path), writing_messages(directory.log), Journal(directory.journal) as journal:
        logger.info("run: %s", directory.path)
        directory.describe(saved, given_overrides(), {"key": key, "data": task.identity, **provenance()})
        try:
            return train(training, journal)
        except BaseException as error:
            journal.write("failed", 0, error=f"{type(error).__name__}: {error}")
            if isinstance(error, KeyboardInterrupt):
                logger.info("interrupted; the same command goes on from the newest checkpoint")
            raise


def run_directory(config: TrainConfig, key: str) -> RunDirectory:
    """Where this run lives: `run.dir`, or a name made from what its result depends on."""
    path = Path(config.run.dir or Path(config.run.root) / config.name / key)
    directory = RunDirectory(path)
    if config.run.rerun and directory.result() is not None:
        return RunDirectory(fresh_sibling(path))
    return directory


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
    }
    journal.write("result", progress.update, seconds=round(time.monotonic() - started, 1))
    path = training.run.finish(figures)
    print(f"result: {path}")
    return value


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
    run("train", TrainConfig, main, schemas(*GROUPS))


if __name__ == "__main__":
    cli()
