"""The hidden directory in which a data directory is made, beside the place that it takes in the end.

`.<name>.preparing` holds a lease (one process at a time prepares for a destination) and, for each definition, what is
finished of it. An interruption leaves it; success and mistakes remove it.
"""

import contextlib
import logging
import os
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from seqexp.data.ledger import LEDGER, Ledger
from seqexp.data.text import WorkerDiedError, Workers
from seqexp.runs.lease import Lease
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import flush_to_disk

STALE_SECONDS = 7 * 24 * 3600.0
"""Unfinished work of other options or text is deleted when nobody has touched it for so long."""
KEY_LENGTH = 16
INTERRUPTIONS = (KeyboardInterrupt, SystemExit, WorkerDiedError)

logger = logging.getLogger(__name__)


class Workspace:
    """Context that owns the destination.

    Work that is interrupted (Ctrl-C, SIGTERM, a kill, a dead worker) stays, for the same definition to go on with; any
    other error removes it.
    """

    def __init__(self, destination: Path) -> None:
        absolute = destination.absolute()
        self.destination = absolute
        self.root = absolute.with_name(f".{absolute.name}.preparing")
        self._given = destination
        self._lease = Lease(self.root, "choose another destination")
        self._definition: Path | None = None
        self._new_parents: list[Path] = []

    @property
    def generated(self) -> Path:
        """For text that a corpus generates; empty at first."""
        return self.root / "generated"

    @property
    def data(self) -> Path:
        """What will be the data directory."""
        assert self._definition is not None
        return self._definition / "data"

    @property
    def scratch(self) -> Path:
        """For intermediate files."""
        assert self._definition is not None
        return self._definition / "scratch"

    def __enter__(self) -> Self:
        """
        Raises:
            UserError: another process prepares for this destination, or it cannot be written.
        """
        self._new_parents = [parent for parent in self.root.parents if not parent.exists()]
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lease.__enter__()
        except OSError as error:
            self._remove_if_empty()
            raise self._unwritable(error) from error
        shutil.rmtree(self.generated, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done_with = [self.generated]
        if isinstance(error, INTERRUPTIONS) and self._definition is not None:
            logger.warning("%s: interrupted; the same command goes on from here", self._given)
        elif self._definition is not None:
            done_with.append(self._definition)
            if error is None:
                done_with += [path for path in self.root.iterdir() if path.is_dir()]
        for path in done_with:
            shutil.rmtree(path, ignore_errors=True)
        self._lease.__exit__(kind, error, trace)
        self._remove_if_empty()  # nothing else: from now on another process may work here
        if isinstance(error, OSError):
            raise self._unwritable(error) from error

    def open(self, definition: str, workers: Workers) -> Ledger:
        """Begin, or go on with, the work that the hash `definition` stands for."""
        self._definition = self.root / definition[:KEY_LENGTH]
        self._remove_stale()
        for directory in (self.data, self.scratch):
            directory.mkdir(parents=True, exist_ok=True)
        for path in [*self.data.rglob(".*.tmp"), *self.root.glob(".lease.json.*.tmp")]:  # half written before a kill
            if f".{os.getpid()}." not in path.name:
                path.unlink()
        ledger = Ledger(self._definition, workers)
        if ledger.num_found:
            logger.info("%s: going on with what was interrupted, %d parts are there", self._given, ledger.num_found)
        return ledger

    def publish(self) -> None:
        """Give the finished data directory its name; an old one is moved out of the way first and deleted last."""
        for path in [*self.data.rglob("*"), self.data]:
            flush_to_disk(path)
        if self.destination.exists():
            old = self.root / "old"
            shutil.rmtree(old, ignore_errors=True)
            self.destination.rename(old)
        self.data.rename(self.destination)
        flush_to_disk(self.destination.parent)

    def discard(self, definition: str) -> None:
        """Remove what a kill left after the data directory was finished."""
        for name in (definition[:KEY_LENGTH], "old"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def _remove_if_empty(self) -> None:
        """Leave no directory that this process made for nothing."""
        with contextlib.suppress(OSError):
            for directory in (self.root, *self._new_parents):
                directory.rmdir()

    def _remove_stale(self) -> None:
        for path in self.root.iterdir():
            ledger = path / LEDGER
            is_other = path != self._definition and ledger.exists()
            if is_other and time.time() - ledger.stat().st_mtime > STALE_SECONDS:
                logger.info("%s: deleting what was begun with other options or text and left for a week", self._given)
                shutil.rmtree(path, ignore_errors=True)

    def _unwritable(self, error: OSError) -> UserError:
        where = error.filename or self.root.parent
        return UserError(f"destination={self._given}: {where} cannot be written: {error.strerror}")
