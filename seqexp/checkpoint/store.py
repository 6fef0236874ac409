"""Checkpoints on disk: one directory each, complete and verified, or not there.

checkpoints/update-00001000/
    checkpoint.json      format, update, metrics, and size and SHA-256 of every other file
    config.json          task, model, precision, generator: what using the model takes besides weights and task/
    model.safetensors
    task/                manifest, vocabularies and the files of the text stages
    training/            optimizer.pt and progress.json: what resuming needs besides
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqexp.runs.identity import digest
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import flush_to_disk, sha256_of_file, write_json

FORMAT_VERSION = 1
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk. Nothing in it can run code when it is read."""

    path: Path
    info: dict[str, Any]

    @property
    def update(self) -> int:
        return int(self.info["update"])

    @property
    def content(self) -> str:
        """Hash of everything in it."""
        return digest(self.info["files"])

    @property
    def metrics(self) -> dict[str, float]:
        """Validation metrics at this update, empty where none were computed."""
        return dict(self.info["metrics"])

    def config(self) -> dict[str, Any]:
        """The saved configs of task, model, precision and generator."""
        return _read_json(self.path / "config.json")

    def weights(self) -> dict[str, Tensor]:
        """The model's state dict, on the CPU."""
        try:
            tensors = load_file(self.path / "model.safetensors")
        except (OSError, SafetensorError) as error:
            raise UserError(f"{self.path / 'model.safetensors'}: cannot be read: {error}") from error
        return {**tensors, **{alias: tensors[name] for alias, name in self.info["aliases"].items()}}

    def optimizer_state(self) -> dict[str, Any]:
        path = self.path / "training" / "optimizer.pt"
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state

    def progress(self) -> dict[str, Any]:
        """Counters of the trainer at this update."""
        return _read_json(self.path / "training" / "progress.json")

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


class CheckpointStore:
    """The checkpoints of one run."""

    def __init__(self, directory: Path, *, metric: str, maximize: bool, keep_last: int = 1, keep_best: int = 1) -> None:
        """`metric`, a key of the validation metrics, and `maximize` say which checkpoint is the best."""
        self.directory, self.metric, self.maximize = directory, metric, maximize
        self.keep_last, self.keep_best = keep_last, keep_best

    def save(
        self,
        *,
        update: int,
        metrics: Mapping[str, float],
        config: dict[str, Any],
        weights: Mapping[str, Tensor],
        task_files: Mapping[str, Path],
        optimizer_state: dict[str, Any],
        progress: dict[str, Any],
    ) -> Checkpoint:
        """Write a checkpoint, then delete those that the retention rules no longer keep.

        The directory takes its name only when every byte is on disk: a crash leaves the earlier ones as they were.
        """
        path = self.directory / f"update-{update:08d}"
        temporary = self.directory / f".{path.name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        (temporary / "training").mkdir(parents=True)
        try:
            tensors, aliases = _without_aliases(weights)
            save_file(tensors, temporary / "model.safetensors")
            write_json(temporary / "config.json", config)
            for name, source in task_files.items():
                (temporary / "task" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, temporary / "task" / name)
            with (temporary / "training" / "optimizer.pt").open("wb") as file:
                torch.save(optimizer_state, file)
            write_json(temporary / "training" / "progress.json", progress)
            info = {
                "format_version": FORMAT_VERSION,
                "update": update,
                "metrics": dict(metrics),
                "aliases": aliases,
                "files": _flush_and_describe(temporary),
            }
            write_json(temporary / "checkpoint.json", info)
            shutil.rmtree(path, ignore_errors=True)
            temporary.rename(path)
            flush_to_disk(self.directory)
        except BaseException as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if isinstance(error, OSError | SafetensorError):
                reason = error.strerror if isinstance(error, OSError) else error
                raise UserError(
                    f"{path} cannot be saved: {reason}; the earlier checkpoints are whole, and the same command goes on"
                    " from the newest"
                ) from error
            raise
        self._delete_superseded()
        return Checkpoint(path, info)

    def all(self) -> list[Checkpoint]:
        """Every checkpoint, oldest first."""
        paths = sorted(self.directory.glob("update-*"))
        return [open_checkpoint(path) for path in paths if (path / "checkpoint.json").exists()]

    def last(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; a damaged newer one is reported and passed over."""
        for checkpoint in reversed(self.all()):
            try:
                checkpoint.verify()
            except UserError as error:
                logger.warning("passing over a checkpoint: %s", error)
                continue
            return checkpoint
        return None

    def best(self) -> Checkpoint | None:
        """The checkpoint with the best value of the metric, the earlier of equals; the last where none has one."""
        ranked = self._by_metric()
        return ranked[0] if ranked else self.last()

    def would_keep(self, metrics: Mapping[str, float]) -> bool:
        """Whether a checkpoint with these metrics would be among the best that are kept."""
        if self.metric not in metrics or self.keep_best == 0:
            return False
        ranked = self._by_metric()
        return len(ranked) < self.keep_best or self._rank(metrics) < self._rank(ranked[self.keep_best - 1].metrics)

    def _rank(self, metrics: Mapping[str, float]) -> float:
        return -metrics[self.metric] if self.maximize else metrics[self.metric]

    def _by_metric(self) -> list[Checkpoint]:
        scored = [checkpoint for checkpoint in self.all() if self.metric in checkpoint.metrics]
        return sorted(scored, key=lambda checkpoint: (self._rank(checkpoint.metrics), checkpoint.update))

    def _delete_superseded(self) -> None:
        checkpoints = self.all()
        kept = {checkpoint.path for checkpoint in checkpoints[-self.keep_last :]}
        kept |= {checkpoint.path for checkpoint in self._by_metric()[: self.keep_best]}
        for checkpoint in checkpoints:
            if checkpoint.path not in kept:
                # Out of sight first: a crash while deleting leaves no half checkpoint under a valid name.
                checkpoint.path.rename(checkpoint.path.with_name(f".{checkpoint.path.name}.tmp"))
        # Those, and what crashes before have left half written or half deleted.
        for hidden in self.directory.glob(".update-*.tmp"):
            shutil.rmtree(hidden, ignore_errors=True)


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in a directory.

    Raises:
        UserError: there is none, or it has a format that this version does not know.
    """
    info = _read_json(path / "checkpoint.json")
    version = info.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(f"{path}: format version {version}, and this version of seqexp reads {FORMAT_VERSION}")
    return Checkpoint(path, info)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found, so this is no checkpoint") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: damaged: {error}") from None
    return value


def _without_aliases(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Shared parameters once, and the further names that they go by: safetensors refuses shared memory."""
    tensors: dict[str, Tensor] = {}
    aliases: dict[str, str] = {}
    names: dict[tuple[int, torch.Size, tuple[int, ...]], str] = {}
    for name, tensor in weights.items():
        key = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() and key in names:
            aliases[name] = names[key]
        else:
            names[key] = name
            tensors[name] = tensor.detach().cpu().contiguous()
    return tensors, aliases


def _flush_and_describe(directory: Path) -> dict[str, dict[str, Any]]:
    """Flush every file to disk; size and hash of each."""
    files = {}
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        flush_to_disk(path)
        name = path.relative_to(directory).as_posix()
        files[name] = {"size": path.stat().st_size, "sha256": sha256_of_file(path)}
    return files
