"""What a person sees of a training run: a bar on a terminal, plain lines elsewhere."""

import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from seqexp.data.batch import Batch
from seqexp.training.progress import Progress

logger = logging.getLogger(__name__)

NUM_NAMED_EXAMPLES = 10

SHOWN = {"lr": ".3g", "tokens_per_second": ",.0f", "gradient_norm": ".3g", "perplexity": ".4g", "loss_scale": "g"}
"""Formats of the metrics that are not shown with four decimals."""


class Display:
    """Lines of metrics, and on a terminal a bar below them."""

    def __init__(self, total_updates: int | None, *, with_bar: bool = True) -> None:
        """`total_updates` is where the run will end, None if open; of several processes, one has a bar."""
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        self._bar = Bar(
            *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
        )
        self._on_terminal = with_bar and self._bar.console.is_terminal
        self._task = self._bar.add_task("updates", total=total_updates)

    def __enter__(self) -> Self:
        if self._on_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_terminal:
            self._bar.stop()

    def advance(self, progress: Progress) -> None:
        if self._on_terminal:
            self._bar.update(self._task, completed=progress.update, description=f"epoch {progress.epoch + 1}")

    def show(self, kind: str, progress: Progress, metrics: Mapping[str, float]) -> None:
        """One line, e.g. `train | update 50 | loss 4.1203 | ...`."""
        logger.info("%s", " | ".join([f"{kind:5}", f"update {progress.update}", *format_metrics(metrics)]))


def named_examples(batches: Sequence[Batch]) -> str:
    """Which examples batches are made of: `examples 3, 17 and 5 more`."""
    numbers = [number for batch in batches for number in batch.indices.tolist()]
    more = f" and {len(numbers) - NUM_NAMED_EXAMPLES} more" if len(numbers) > NUM_NAMED_EXAMPLES else ""
    return f"examples {', '.join(map(str, numbers[:NUM_NAMED_EXAMPLES]))}{more}"


def format_metrics(metrics: Mapping[str, float]) -> list[str]:
    return [f"{name} {value:{SHOWN.get(name, '.4f')}}" for name, value in metrics.items()]
