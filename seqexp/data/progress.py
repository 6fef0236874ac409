"""Progress of long work: a bar on a terminal, a line for each finished step elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
        yield lambda amount: None
    logger.info("%s: %.1f s", description, time.monotonic() - started)


@contextmanager
def _bar(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console  # here, because it takes a tenth of a second
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=total)
        yield lambda amount: bars.advance(task, amount)
