"""Progress of long work: a bar on a terminal; elsewhere a line now and then, and one for each finished step."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 30.0

logger = logging.getLogger(__name__)


@contextmanager
def progress(description: str, total: int | None, unit: str | None = None) -> Iterator[Callable[[int], None]]:
    """Show the progress of a step; the function that it gives is told of every amount done.

    Args:
        total: None where it cannot be known.
        unit: what is counted, if it is to be said how many of them a second are done: `sentences`.
    """
    started = time.monotonic()
    if sys.stderr.isatty():
        with _bar(description, total, unit) as advance:
            yield advance
    else:
        yield _lines(description, total, unit)
    logger.info("%s: %.1f s", description, time.monotonic() - started)


def _lines(description: str, total: int | None, unit: str | None) -> Callable[[int], None]:
    """For a log file: a line every half minute."""
    done, shown = 0, time.monotonic()
    started = shown

    def advance(amount: int) -> None:
        nonlocal done, shown
        done += amount
        if total and time.monotonic() - shown > SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            logger.info("%s: %.0f%%%s", description, 100 * done / total, _rate(done, shown - started, unit))

    return advance


@contextmanager
def _bar(description: str, total: int | None, unit: str | None) -> Iterator[Callable[[int], None]]:
    from rich.console import Console  # here, because it takes a tenth of a second
    from rich.progress import Progress, TextColumn

    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(description, total=total, rate="")
        done, started = 0, time.monotonic()

        def advance(amount: int) -> None:
            nonlocal done
            done += amount
            bars.update(task, advance=amount, rate=_rate(done, time.monotonic() - started, unit))

        yield advance


def _rate(done: int, seconds: float, unit: str | None) -> str:
    return "" if unit is None else f", {done / max(seconds, 1e-9):.1f} {unit} per second"
