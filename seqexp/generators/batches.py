"""Runs a generator over a split, batch by batch."""

from collections.abc import Iterator, Sequence
from itertools import islice

from seqexp.data.batch import Batch, PairBatch
from seqexp.data.batching import BatchLimits, Order
from seqexp.data.loader import micro_batches
from seqexp.data.split import Split
from seqexp.generators.base import Generator, Hypothesis
from seqexp.models.base import Seq2SeqModel
from seqexp.precisions.base import Precision


def evaluation_batches(split: Split, limits: BatchLimits, max_batches: int | None = None) -> Iterator[Batch]:
    """The examples of a split, those of similar length together; every example once."""
    return islice(micro_batches(split.plan(limits, order=Order.by_length), split.collate), max_batches)


def generate_batches(
    generator: Generator,
    models: Sequence[Seq2SeqModel],
    split: Split,
    limits: BatchLimits,
    precision: Precision,
    max_batches: int | None = None,
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Yields (number of the example, its hypotheses from best to worst), in the order of the batches."""
    for batch in evaluation_batches(split, limits, max_batches):
        assert isinstance(batch, PairBatch)
        with precision.autocast():
            found = generator.generate(models, batch.to(precision.device))
        yield from zip(batch.indices.tolist(), found, strict=True)
