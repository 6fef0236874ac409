"""`python -m seqexp.verify`: prove on a run's own config that an interrupted training ends as an undisturbed one."""

import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import MISSING

from seqexp.catalog import config_class
from seqexp.checkpoint.layout import Checkpoint, open_checkpoint, read_json
from seqexp.config.base import CommandConfig, require
from seqexp.config.saved import from_saved
from seqexp.distributed.base import DistributedConfig, ProcessesConfig
from seqexp.distributed.launch import in_processes
from seqexp.plugins import load_plugins, run
from seqexp.runs.directory import RunDirectory, open_run
from seqexp.runs.journal import last_line, read_journal
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import write_json
from seqexp.runtime.logs import show_messages
from seqexp.train import train_in_world
from seqexp.training.config import TrainConfig
from seqexp.training.intervals import Interval

logger = logging.getLogger("seqexp.verify")

LOOK_SECONDS = 0.01
NUM_SHOWN = 5
TIMES = frozenset({"seconds", "tokens_per_second"})
"""What may differ between two runs that are the same."""


@dataclass
class VerifyConfig(CommandConfig):
    run: str = MISSING
    """Directory of a run, or of one that was only begun. Its config is used; the run itself stays as it is."""
    updates: int = 20
    """Updates to train; a run that ends earlier is compared at its end."""
    kills: int = 1
    """How often the second training is killed, at updates drawn at random, with SIGKILL, and started again."""
    checkpoint_every: int | None = None
    """Updates between checkpoints; null: a quarter of `updates`."""
    seed: int = 1
    """Of the updates at which it is killed."""
    num_processes: int | None = None
    """Processes that train; null: as many as the run's config says."""
    keep: bool = False
    """Keep the two trainings, `<run>/verify/undisturbed` and `<run>/verify/killed`, also where they are equal."""

    def __post_init__(self) -> None:
        require(self.updates > 1, "updates", self.updates, "a count above 1")
        require(0 < self.kills < self.updates, "kills", self.kills, f"from 1 to updates-1={self.updates - 1}")
        every = self.checkpoint_every
        right = f"from 1 to updates={self.updates}, or null"
        require(every is None or 0 < every <= self.updates, "checkpoint_every", every, right)
        count = self.num_processes
        require(count is None or count > 0, "num_processes", count, "a count above 0, or null")


@dataclass
class Trial:
    """One training of the config, in a directory of its own, as far as an update."""

    config: TrainConfig
    directory: RunDirectory
    updates: int

    def __call__(self, kill_after: int | None = None, delay: float = 0.0) -> bool:
        """Train from where it stands.

        Args:
            kill_after: kill it behind this update, as soon as there is a checkpoint to resume from; None: when the
                checkpoint of `updates` is there.
            delay: and so many seconds later.

        Returns:
            Whether it was killed before it had come to the end.

        Raises:
            UserError: the training failed.
        """
        config = replace(self.config, run=replace(self.config.run, dir=str(self.directory.path)))
        process = multiprocessing.get_context("spawn").Process(target=_train, args=(config, self.output))
        attempt = 1 + max((line["attempt"] for line in read_journal(self.directory.journal)), default=0)
        process.start()
        while process.exitcode is None and not self._is_there(kill_after, attempt):
            time.sleep(LOOK_SECONDS)
        until = time.monotonic() + delay
        while process.exitcode is None and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        if process.exitcode is None:
            process.kill()
        process.join()
        if process.exitcode not in (0, -signal.SIGKILL):
            raise UserError(f"the training ended with exit status {process.exitcode}; its messages: {self.output}")
        return process.exitcode == -signal.SIGKILL and (kill_after is None or self.end() is None)

    def end(self) -> Checkpoint | None:
        """The checkpoint that is compared: of `updates`, or the last of a run that was shorter."""
        path = self.directory.checkpoints / f"update-{self.updates:08d}"
        if (path / "checkpoint.json").exists():
            return open_checkpoint(path)
        result = self.directory.result()
        if result is None:
            return None
        return open_checkpoint(self.directory.checkpoints / f"update-{result['updates']:08d}")

    def seconds_per_update(self) -> float:
        times = [line["time"] for line in read_journal(self.directory.journal) if line["kind"] == "train"]
        return float(times[-1] - times[0]) / max(len(times) - 1, 1) if times else 0.0

    def losses(self) -> dict[int, dict[str, float]]:
        """The metrics of each update; a later attempt takes the place of an earlier one."""
        lines = (line for line in read_journal(self.directory.journal) if line["kind"] == "train")
        return {line["update"]: _without_times(line["metrics"]) for line in lines if line["update"] <= self.updates}

    @property
    def output(self) -> Path:
        """What its processes print."""
        return self.directory.path.with_suffix(".txt")

    def _is_there(self, update: int | None, attempt: int) -> bool:
        if update is None:
            return self.end() is not None
        line = last_line(self.directory.journal)
        is_made = line is not None and line["attempt"] == attempt and line["update"] >= update
        # Without a checkpoint it would begin anew, and prove nothing.
        return is_made and any(self.directory.checkpoints.glob("update-*"))


def main(config: VerifyConfig) -> None:
    show_messages()
    source = open_run(config.run)
    saved = source.read_config()
    load_plugins(saved.get("plugins", []))
    find = partial(config_class, trust=config.trust)
    trained = prepared(from_saved(saved, TrainConfig, find, str(source.config)), config)
    folder = source.path / "verify"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    undisturbed, killed = (
        Trial(trained, RunDirectory(folder / name), config.updates) for name in ("undisturbed", "killed")
    )
    logger.info("undisturbed: %d updates", config.updates)
    undisturbed()
    kills = kill_often(killed, config, undisturbed.seconds_per_update())
    killed()
    whole, broken = undisturbed.end(), killed.end()
    if whole is None or broken is None:
        raise UserError(f"{folder}: a training ended before update {config.updates}, without a result")
    found = list(differences("", parts(whole, undisturbed), parts(broken, killed)))
    result = {"equal": not found, "updates": whole.update, "kills": kills, "differences": found[:NUM_SHOWN]}
    if found:
        told = "\n".join(f"  {line}" for line in found[:NUM_SHOWN])
        print(f"not equal after update {whole.update}: {len(found)} differences\n{told}")
        print(f"both trainings are kept: {folder}")
        write_json(folder / "result.json", result)
        raise SystemExit(1)
    counts = len(whole.weights()), len(undisturbed.losses())
    if not config.keep:
        shutil.rmtree(folder)
    write_json(folder / "result.json", result)
    text = "equal bit for bit after update {}: {} weights, the optimizer's state, all counters, metrics of {} updates"
    print(text.format(whole.update, *counts))


def kill_often(killed: Trial, config: VerifyConfig, seconds_per_update: float) -> list[int]:
    """Train and kill.

    Returns:
        The updates behind which it was killed.

    Raises:
        UserError: the training always ended before.
    """
    chance, kills = random.Random(config.seed), []
    for update in sorted(chance.sample(range(1, config.updates), config.kills)):
        if killed(kill_after=update, delay=chance.uniform(0, seconds_per_update)):
            kills.append(update)
            resumed = [checkpoint.update for checkpoint in _checkpoints(killed.directory)]
            text = "kill %d of %d behind update %d; the newest checkpoint is of update %d"
            logger.info(text, len(kills), config.kills, update, max(resumed, default=0))
    if not kills:
        raise UserError(f"the training ended before it could be killed: give more than updates={config.updates}")
    return kills


def prepared(config: TrainConfig, wanted: VerifyConfig) -> TrainConfig:
    """The config of a run as it is trained here: schedule, data and layout stay; what is written is other."""
    half, quarter = max(wanted.updates // 2, 1), max(wanted.updates // 4, 1)
    every = wanted.checkpoint_every or quarter
    while wanted.updates % every:
        every -= 1  # one is saved at the end
    distributed: DistributedConfig = config.distributed
    if wanted.num_processes is not None:
        if not isinstance(distributed, ProcessesConfig):
            raise UserError(
                f"num_processes={wanted.num_processes}: the run's layout has one process; train it with "
                "distributed=ddp first"
            )
        distributed = replace(distributed, num_processes=wanted.num_processes)
    return replace(
        config,
        tracker={},
        distributed=distributed,
        checkpoint=replace(config.checkpoint, every=Interval(updates=every), keep_last=4, keep_best=0),
        validation=replace(
            config.validation,
            every=Interval(updates=half),
            scores=config.checkpoint.metric in config.scorer,
            sanity=0,
        ),
        log=replace(config.log, every_updates=1),
    )


def parts(checkpoint: Checkpoint, trial: Trial) -> dict[str, Any]:
    """All that must be equal."""
    tensors = {name: checkpoint.tensors(name).read_all() for name in checkpoint.sets()}
    optimizers = [name for name in checkpoint.info["files"] if Path(name).name == "optimizer.json"]
    return {
        **tensors,
        **{name: read_json(checkpoint.path / name) for name in optimizers},
        "counters": _without_times(checkpoint.progress()),
        "metrics": trial.losses(),
    }


def differences(name: str, one: Any, other: Any) -> Iterator[str]:
    """Where two nested values differ, one line each."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in {**one, **other}:
            yield from differences(f"{name}.{key}" if name else str(key), one.get(key), other.get(key))
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from differences(f"{name}[{number}]", a, b)
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.shape != other.shape or one.dtype != other.dtype:
            yield f"{name}: {tuple(one.shape)} {one.dtype} and {tuple(other.shape)} {other.dtype}"
        elif not torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8)):
            yield f"{name}: by up to {(one.double() - other.double()).abs().max().item():.3g}"
    elif json.dumps(one) != json.dumps(other):
        yield f"{name}: {one} and {other}"


def _without_times(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return value


def _checkpoints(directory: RunDirectory) -> Sequence[Checkpoint]:
    paths = directory.checkpoints.glob("update-*/checkpoint.json")
    return [open_checkpoint(path.parent) for path in paths]


def _train(config: TrainConfig, output: Path) -> None:
    """In a process of its own."""
    with output.open("a") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    in_processes(config.distributed, train_in_world, config, [])


def cli() -> None:
    run("verify", VerifyConfig, main, ())


if __name__ == "__main__":
    cli()
