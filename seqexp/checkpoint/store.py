"""The checkpoints of one run."""

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from seqexp.checkpoint.background import Background, Foreground, Writing
from seqexp.checkpoint.layout import Checkpoint, open_checkpoint
from seqexp.checkpoint.retention import Retention
from seqexp.checkpoint.writing import ALONE, Content, Writers, write_checkpoint
from seqexp.runtime.errors import UserError

logger = logging.getLogger(__name__)


class CheckpointStore:
    """Writes the checkpoints of a run, finds them, and deletes those that need not be kept.

    Who asks for a checkpoint waits for the one that is being written.
    """

    def __init__(
        self, directory: Path, retention: Retention, *, writers: Writers = ALONE, asynchronous: bool = False
    ) -> None:
        """
        Args:
            directory: in which each checkpoint has a directory.
            writers: the processes that write together; each has a store of its own and saves as often as the others.
            asynchronous: write beside the training.
        """
        self.directory, self.retention, self.writers = directory, retention, writers
        self.before_naming: Callable[[], None] = lambda: None
        """Called before a checkpoint takes its name; raises where this process may not write any more."""
        self._writing: Writing = Background() if asynchronous else Foreground()
        self._num_saved = 0

    def save(self, content: Content) -> None:
        """Write a checkpoint, or begin to, and then delete those that are superseded.

        The directory takes its name only when every byte is on disk: a crash leaves the earlier ones as they were.

        Raises:
            UserError: it cannot be written, or the one before could not.
        """
        sequence = self._num_saved
        self._num_saved += 1
        self._writing.submit(content, lambda copy: self._write(copy, sequence))

    def written(self) -> list[Checkpoint]:
        """Those that have been written since this was last asked; without waiting.

        Raises:
            UserError: one could not be written.
        """
        return self._writing.finished()

    def wait(self) -> None:
        """Wait until nothing is being written."""
        self._writing.wait()

    def all(self) -> list[Checkpoint]:
        """Every checkpoint, oldest first."""
        self.wait()
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
        ranked = self.retention.ranked(self.all())
        return ranked[0] if ranked else self.last()

    def would_keep(self, metrics: Mapping[str, float]) -> bool:
        """Whether a checkpoint with these metrics would be among the best that are kept."""
        return self.retention.would_keep(metrics, self.all())

    def _write(self, content: Content, sequence: int) -> Checkpoint | None:
        path = self.directory / f"update-{content.update:08d}"
        checkpoint = write_checkpoint(path, content, self.writers, sequence=sequence, before_naming=self.before_naming)
        if checkpoint is not None:
            self._delete_superseded()
        return checkpoint

    def _delete_superseded(self) -> None:
        for checkpoint in self.retention.superseded(self.all()):
            # Out of sight first: a crash while deleting leaves no half checkpoint under a valid name.
            checkpoint.path.rename(checkpoint.path.with_name(f".{checkpoint.path.name}.tmp"))
        # Those, and what crashes before have left half written or half deleted.
        for hidden in self.directory.glob(".update-*.tmp"):
            if not self.writers.may_be_waited_for(hidden):
                shutil.rmtree(hidden, ignore_errors=True)
