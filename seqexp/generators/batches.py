"""Runs a generator over a split, batch by batch."""

from collections.abc import Iterable, Iterator, Sequence

from seqexp.data.batch import Batch, PairBatch
from seqexp.data.batching import BatchLimits, Order
from seqexp.data.loader import micro_batches
from seqexp.data.split import Split
from seqexp.generators.base import Generator, Hypothesis
from seqexp.models.base import Model
from seqexp.models.prompted import searchable
from seqexp.precisions.base import Precision


def evaluation_batches(
    split: Split, limits: BatchLimits, max_batches: int | None = None, *, rank: int = 0, num_processes: int = 1
) -> Iterator[Batch]:
    """The examples of a split, those of similar length together; every example once.

    Args:
        max_batches: of all processes together; None for all.
        rank: of several processes this one, which takes every `num_processes`-th batch.
    """
    plan = split.plan(limits, order=Order.by_length)
    return micro_batches(plan, split.collate, positions=range(len(plan))[:max_batches][rank::num_processes])


def generate_batches(
    generator: Generator, models: Sequence[Model], batches: Iterable[Batch], precision: Precision
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Yields (number of the example, its hypotheses from best to worst), in the order of the batches."""
    searched = [searchable(model) for model in models]
    for batch in batches:
        assert isinstance(batch, PairBatch)
        with precision.autocast():
            found = generator.generate(searched, batch.to(precision.device))
        yield from zip(batch.indices.tolist(), found, strict=True)
