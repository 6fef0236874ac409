"""A checkpoint on disk: one directory, complete and verified, or not there.

checkpoints/update-00001000/
    checkpoint.json      format version, update, metrics, and size and SHA-256 of every other file
    config.json          task, model, precision, generator: what using the model takes besides weights and task/
    model.*              the weights that validation has looked at, those to use (`tensors.py` says how they lie there)
    task/                manifest, vocabularies and the files of the text stages
    training/            what resuming needs besides; an average of checkpoints has none
        progress.json
        optimizer.json optimizer.*
        model.*          the weights that the optimizer changes, where `model` is their moving average
        ema.*            the moving average, where it is not `model`
        master.*         the weights in a longer format, where the optimizer changes copies of them
        outer.*          what a layout keeps for each parameter, the same in all processes
        rank-0/ ...      optimizer, model and master of each process, where every one has its own; `model` above is then
                         the average over them
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from torch import Tensor

from seqexp.checkpoint.optimizer import OptimizerState
from seqexp.checkpoint.tensors import TensorFiles, index_of_file
from seqexp.checkpoint.versions import migrated, optimizer_of_version_1
from seqexp.runs.identity import digest
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import sha256_of_file

MODEL, TRAINED, AVERAGED, OPTIMIZER = "model", "training/model", "training/ema", "training/optimizer"
MASTER = "training/master"
"""Sets of tensors."""
OUTER = "training/outer"
PROGRESS, OPTIMIZER_SCALARS = "training/progress.json", "training/optimizer.json"


def of_rank(name: str, rank: int | None) -> str:
    """The name of a set or file below `training/` that a process has for itself; None: all have the same."""
    folder, _, file = name.rpartition("/")
    return name if rank is None else f"{folder}/rank-{rank}/{file}"


class Weights(StrEnum):
    """Which of a checkpoint's weights are meant."""

    validated = "validated"
    """Those that validation has looked at."""
    trained = "trained"
    """Those that the optimizer changes."""
    averaged = "averaged"
    """Their moving average."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk. Nothing in it can run code when it is read."""

    path: Path
    info: dict[str, Any]

    @property
    def update(self) -> int:
        return int(self.info["update"])

    @property
    def num_ranks(self) -> int | None:
        """Of how many processes it holds weights and optimizer state each, None where all had the same."""
        number: int | None = self.info.get("ranks")
        return number

    @property
    def content(self) -> str:
        """Hash of everything in it."""
        return digest(self.info["files"])

    def content_of(self, weights: Weights) -> str:
        """Hash of the files that hold these weights."""
        name = self.set_of(weights)
        files = self.info["files"].items()
        hashes = {path: file["sha256"] for path, file in files if _is_of_set(path, name)}
        return digest(hashes)

    @property
    def metrics(self) -> dict[str, float]:
        """Validation metrics at this update, empty where none were computed."""
        return dict(self.info["metrics"])

    def config(self) -> dict[str, Any]:
        """The saved configs of task, model, precision and generator."""
        return read_json(self.path / "config.json")

    def sets(self) -> list[str]:
        """The names of all sets of tensors."""
        return [name.removesuffix(".index.json") for name in self.info["files"] if name.endswith(".index.json")]

    def has(self, name: str) -> bool:
        """Whether there is a set of tensors of this name."""
        return any(f"{name}.{end}" in self.info["files"] for end in ("index.json", "safetensors"))

    def tensors(self, name: str) -> TensorFiles:
        """A set of tensors.

        Raises:
            UserError: its index or, in an old format that has none, its file is damaged.
        """
        index = self.path / f"{name}.index.json"
        if f"{name}.index.json" in self.info["files"]:
            return TensorFiles(index.parent, read_json(index))
        return TensorFiles(index.parent, index_of_file(self.path / f"{name}.safetensors", self.info.get("aliases", {})))

    def weights(self, which: Weights = Weights.validated) -> dict[str, Tensor]:
        """The model's state dict, on the CPU.

        Raises:
            UserError: they cannot be read, or it has no moving average.
        """
        return self.tensors(self.set_of(which)).read_all()

    def optimizer_state(self, names: list[str], rank: int | None = None) -> OptimizerState:
        """
        Args:
            rank: of the process whose own it is, None where all had the same.
            names: of the parameters that are trained, in the model's order: the oldest format knows them by their
                number only.

        Raises:
            UserError: there is none, as in an average of checkpoints, or it does not belong to these parameters.
        """
        if "training/optimizer.pt" in self.info["files"]:
            return optimizer_of_version_1(self.path, names)
        scalars = of_rank(OPTIMIZER_SCALARS, rank)
        if scalars not in self.info["files"]:
            raise UserError(f"{self.path} holds weights only: begin with them by checkpoint.finetune_from")
        return OptimizerState.of(read_json(self.path / scalars), self.tensors(of_rank(OPTIMIZER, rank)))

    def progress(self) -> dict[str, Any]:
        """Counters of the trainer at this update."""
        return read_json(self.path / PROGRESS)

    def verify(self) -> None:
        """Compare every file with its recorded size and hash.

        Raises:
            UserError: a file is missing or differs.
        """
        for name, recorded in self.info["files"].items():
            path = self.path / name
            if not path.exists():
                raise UserError(f"{path}: missing from the checkpoint")
            if path.stat().st_size != recorded["size"] or sha256_of_file(path) != recorded["sha256"]:
                raise UserError(f"{path}: differs from what was saved; the checkpoint is damaged")

    def set_of(self, which: Weights) -> str:
        """The set of tensors that holds these weights.

        Raises:
            UserError: it has no moving average.
        """
        if which is Weights.trained:
            return TRAINED if self.has(TRAINED) else MODEL
        if which is Weights.averaged and self.has(AVERAGED):
            return AVERAGED
        if which is Weights.averaged and not self.has(TRAINED):
            raise UserError(f"{self.path} has no moving average: it was trained without ema.decay")
        return MODEL


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a directory.

    Raises:
        UserError: there is none, or it has a format that this version does not know.
    """
    return Checkpoint(path, migrated(read_json(path / "checkpoint.json"), path))


def read_json(path: Path) -> dict[str, Any]:
    """
    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found, so this is no checkpoint") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: damaged: {error}") from None
    return value


def _is_of_set(path: str, name: str) -> bool:
    return path.startswith((f"{name}.", f"{name}-")) and path.endswith(".safetensors")
