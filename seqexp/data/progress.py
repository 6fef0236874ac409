"""Progress of long work: a bar on a terminal; elsewhere a line now and then, and one for each finished step."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 30.0

logger = logging.getLogger(__name__)


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show the progress of a step; the function that it gives is told of every amount done.

    `total` is None where it cannot be known."""
    started = time.monotonic()
    if sys.stderr.isatty():
        with _bar(description, total) as advance:
            yield advance
    else:
        yield _lines(description, total)
    logger.info("%s: %.1f s", description, time.monotonic() - started)


def _lines(description: str, total: int | None) -> Callable[[int], None]:
    """For a log file: a line every half minute."""
    done, shown = 0, time.monotonic()

    def advance(amount: int) -> None:
        nonlocal done, shown
        done += amount
        if total and time.monotonic() - shown > SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            logger.info("%s: %.0f%%", description, 100 * done / total)

    return advance


@contextmanager
def _bar(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console  # here, because it takes a tenth of a second
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=total)
        yield lambda amount: bars.advance(task, amount)
