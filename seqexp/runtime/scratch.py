"""Temporary files that no kill leaves for ever."""

import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from seqexp.runtime.errors import UserError

LOCK = "lock"


class ScratchDirectory:
    """A new directory in the system's place for temporary files (TMPDIR), deleted when this object is.

    A process that is killed cannot delete anything, so each deletes what dead ones have left. The system frees the lock
    of a process with the process; the folder lies on the machine itself, where locks can be relied on.
    """

    def __init__(self) -> None:
        """
        Raises:
            UserError: it cannot be made.
        """
        root = Path(tempfile.gettempdir()) / f"seqexp-{os.getuid()}"
        try:
            root.mkdir(mode=0o700, exist_ok=True)
            with (root / LOCK).open("w") as others:
                fcntl.flock(others, fcntl.LOCK_EX)
                _delete_abandoned(root)
                self.path = Path(tempfile.mkdtemp(dir=root))
                lock = (self.path / LOCK).open("w")
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            raise UserError(f"{root} cannot be written: {error.strerror}; set TMPDIR to another folder") from error
        self._delete = weakref.finalize(self, _delete, self.path, lock, os.getpid())

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Context in which files are written here; if that fails, the directory is deleted.

        Raises:
            UserError: one cannot be written.
        """
        try:
            yield
        except OSError as error:
            self.delete()
            raise UserError(f"{self.path}: {error.strerror}; set TMPDIR to a folder with more room") from error
        except BaseException:
            self.delete()
            raise

    def delete(self) -> None:
        """Delete the directory now; files in it that are mapped stay readable to who has them mapped."""
        self._delete()


def _delete(path: Path, lock: TextIO, owner: int) -> None:
    if os.getpid() == owner:  # a forked process has a copy of the object, which may end sooner
        shutil.rmtree(path, ignore_errors=True)
        lock.close()


def _delete_abandoned(root: Path) -> None:
    for path in root.iterdir():
        if not path.is_dir():
            continue
        with suppress(OSError), (path / LOCK).open("a") as lock:  # of one that is being deleted the lock may be gone
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
