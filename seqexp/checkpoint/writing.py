"""Writing a checkpoint's directory, by one process or by several together.

Everything is written under a hidden name. Each process writes the files of its own parts and, last, a small JSON that
describes them. The first process waits for all of these, merges them, writes `checkpoint.json` and gives the directory
its name: a kill at any moment leaves a whole checkpoint or none.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from seqexp.checkpoint.layout import Checkpoint
from seqexp.checkpoint.tensors import TensorSet, merge_shares, write_parts
from seqexp.checkpoint.versions import FORMAT_VERSION
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import flush_to_disk, sha256_of_file, write_json

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Writers:
    """The processes that write the checkpoints of a run together, seen from one of them."""

    number: int = 0
    """Of this process, from 0."""
    count: int = 1
    attempt: str = ""
    """The same for all processes of one attempt, and another one in each attempt: what a killed one has left is not
    taken for a part of a new checkpoint. Needed where there are several."""
    wait_seconds: float = 1800.0
    """How long the first process waits for the others' parts."""
    require_alive: Callable[[], None] = lambda: None
    """Raises where another process has failed, so that nobody waits for its part."""

    def __post_init__(self) -> None:
        assert 0 <= self.number < self.count
        assert self.count == 1 or self.attempt

    @property
    def is_first(self) -> bool:
        return self.number == 0

    def hidden(self, path: Path, sequence: int) -> Path:
        """Where the checkpoint `path` is written, as number `sequence` of this attempt: no process may begin in a
        directory that the first one is about to rename."""
        own = f".{self.attempt}-{sequence}" if self.count > 1 else ""
        return path.with_name(f".{path.name}{own}.tmp")

    def may_be_waited_for(self, hidden: Path) -> bool:
        """Whether another process of this attempt may be writing there ahead of the first."""
        return self.count > 1 and f".{self.attempt}-" in hidden.name

    def file_of(self, name: str) -> str:
        """The file for this process's part of a set."""
        return (
            f"{name}.safetensors"
            if self.count == 1
            else f"{name}-{self.number + 1:05d}-of-{self.count:05d}.safetensors"
        )


ALONE = Writers()
"""One process writes all of it."""


@dataclass(frozen=True)
class Content:
    """What one process gives to a checkpoint; of everything but the tensors, that of the first counts. A set may be
    that of one process alone."""

    update: int
    metrics: Mapping[str, float]
    config: Mapping[str, Any]
    """Saved configs of task, model, precision and generator."""
    task_files: Mapping[str, Path]
    tensors: Mapping[str, TensorSet]
    """By the names of `layout`."""
    documents: Mapping[str, Any] = field(default_factory=dict)
    """JSON values by file."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """More for `checkpoint.json`."""


def write_checkpoint(
    path: Path,
    content: Content,
    writers: Writers = ALONE,
    *,
    sequence: int = 0,
    before_naming: Callable[[], None] = lambda: None,
) -> Checkpoint | None:
    """Write a checkpoint, or this process's part of one.

    Args:
        sequence: counts the checkpoints of this attempt, in the same way in every process.
        before_naming: called when all is on disk; raises where the directory must not take its name.

    Returns:
        The checkpoint; None in all processes but the first, whose parts are then on disk and not yet a checkpoint.

    Raises:
        UserError: it cannot be written, or another process has failed; nothing is left of it.
    """
    hidden = writers.hidden(path, sequence)
    if writers.count == 1:
        shutil.rmtree(hidden, ignore_errors=True)
    try:
        _write_share(hidden, content, writers)
        return _complete(hidden, path, content, writers, before_naming) if writers.is_first else None
    except BaseException as error:
        if writers.is_first:
            shutil.rmtree(hidden, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                write_json(_share(hidden, writers.number), {"error": str(error) or type(error).__name__})
        if isinstance(error, OSError | SafetensorError):
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(
                f"{path} cannot be saved: {reason}; the earlier checkpoints are whole, and the same command goes on"
                " from the newest"
            ) from error
        raise


def _write_share(hidden: Path, content: Content, writers: Writers) -> None:
    """This process's files, and what they are."""
    shares: dict[str, Any] = {}
    files = {}
    hidden.mkdir(parents=True, exist_ok=True)
    for name, tensors in content.tensors.items():
        if not tensors.parts and not writers.is_first:
            shares[name] = {}
            continue
        file = hidden / writers.file_of(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        shares[name] = write_parts(file, tensors.parts)
        files[file.relative_to(hidden).as_posix()] = _flush_and_describe(file)
    aliases = {name: dict(tensors.aliases) for name, tensors in content.tensors.items()}
    write_json(_share(hidden, writers.number), {"tensors": shares, "aliases": aliases, "files": files})


def _complete(
    hidden: Path, path: Path, content: Content, writers: Writers, before_naming: Callable[[], None]
) -> Checkpoint:
    """All that is not tensors, the index of those, and the directory's name."""
    shares = [_wait_for(_share(hidden, number), path, writers) for number in range(writers.count)]
    files = {name: facts for share in shares for name, facts in share["files"].items()}
    documents: dict[str, Any] = {"config.json": content.config, **content.documents}
    for name in dict.fromkeys(name for share in shares for name in share["tensors"]):
        merged = merge_shares(share["tensors"].get(name, {}) for share in shares)
        aliases = next(share["aliases"][name] for share in shares if name in share["aliases"])
        documents[f"{name}.index.json"] = {"tensors": merged, "aliases": aliases}
    for name, value in documents.items():
        (hidden / name).parent.mkdir(parents=True, exist_ok=True)
        write_json(hidden / name, value)
        files[name] = _flush_and_describe(hidden / name)
    for name, source in content.task_files.items():
        copy = hidden / "task" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        files[f"task/{name}"] = _flush_and_describe(copy)
    info = {
        "format_version": FORMAT_VERSION,
        "update": content.update,
        "metrics": dict(content.metrics),
        **content.facts,
        "files": dict(sorted(files.items())),
    }
    for number in range(writers.count):
        _share(hidden, number).unlink()
    write_json(hidden / "checkpoint.json", info)
    before_naming()
    shutil.rmtree(path, ignore_errors=True)
    hidden.rename(path)
    flush_to_disk(path.parent)
    return Checkpoint(path, info)


def _wait_for(share: Path, path: Path, writers: Writers) -> dict[str, Any]:
    """What a process says of its part, as soon as it is there.

    Raises:
        UserError: it has failed, or says nothing.
    """
    until = time.monotonic() + writers.wait_seconds
    while not share.exists():
        if time.monotonic() > until:
            raise UserError(f"{path} cannot be saved: {share.name} is not there after {writers.wait_seconds:g} s")
        writers.require_alive()
        time.sleep(POLL_SECONDS)
    found: dict[str, Any] = json.loads(share.read_text(encoding="utf-8"))
    if "error" in found:
        raise UserError(f"{path} cannot be saved: {share.name}: {found['error']}")
    return found


def _share(hidden: Path, number: int) -> Path:
    return hidden / f"process-{number + 1}.json"


def _flush_and_describe(path: Path) -> dict[str, Any]:
    flush_to_disk(path)
    return {"size": path.stat().st_size, "sha256": sha256_of_file(path)}
