"""Messages to people: on standard error, and in a run's log file."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

from seqexp.runtime.secrets import mask

FORMAT = "%(asctime)s %(levelname)s %(message)s"


class _Formatter(logging.Formatter):
    """Leaves out secrets, those of stack traces too."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class _StandardError(logging.Handler):
    """Writes to what is standard error at the time: while a progress bar is shown, that keeps lines and bar apart."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def show_no_messages() -> None:
    """Let none of them appear: another process shows its own."""
    logger = logging.getLogger("seqexp")
    logger.handlers[:] = [logging.NullHandler()]
    logger.setLevel(logging.WARNING)
    logger.propagate = False


def show_messages() -> None:
    """Let messages of seqexp appear on standard error; calling it again changes nothing."""
    logger = logging.getLogger("seqexp")
    if not logger.handlers:
        handler = _StandardError()
        handler.setFormatter(_Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


@contextlib.contextmanager
def writing_messages(path: Path) -> Iterator[None]:
    """Append messages of seqexp to a file as long as this lasts."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_Formatter(FORMAT))
    logger = logging.getLogger("seqexp")
    logger.addHandler(handler)
    try:
        yield
    except BaseException:
        # To the file only: whoever called shows the error to the user.
        record = logging.LogRecord("seqexp", logging.ERROR, __file__, 0, "stopped by an error", (), sys.exc_info())
        handler.handle(record)
        raise
    finally:
        logger.removeHandler(handler)
        handler.close()
