"""Files that a user gives to a text stage; the data directory keeps a copy of them."""

import shutil
from pathlib import Path

from seqexp.runtime.errors import UserError


def needed(key: str, given: str | None, what: str) -> Path:
    """The path of a file without which a stage cannot be.

    Raises:
        UserError: none is given.
    """
    if given is None:
        raise UserError(f"subword.{key} is needed: {what}")
    return Path(given)


def copy_given(key: str, given: str | Path, destination: Path) -> None:
    """
    Raises:
        UserError: the file, given as the option `key`, cannot be read.
    """
    try:
        shutil.copyfile(given, destination)
    except OSError as error:
        raise UserError(f"subword.{key}={given} cannot be read: {error.strerror}") from error
