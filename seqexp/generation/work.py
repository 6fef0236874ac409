"""A process' share of the sentences to translate."""

from collections.abc import Collection, Iterator

import numpy as np

from seqexp.data.batch import Batch
from seqexp.data.batching import Order
from seqexp.data.progress import progress
from seqexp.data.split import Split
from seqexp.distributed.world import World
from seqexp.generation.record import Record, sentence
from seqexp.trained_model import TrainedModel
from seqexp.training.out_of_memory import fitting_into_memory, named_batch


def share_of(model: TrainedModel, split: Split, done: Collection[int], rank: int, num_shares: int) -> list[list[int]]:
    """The batches of one share, each as the numbers of its examples, short ones first.

    The batches of the whole split are dealt out in turn, whatever is done already, so that shares never overlap however
    much of them is done.
    """
    plan = split.plan(model.limits, order=Order.by_length)
    batches = (plan[position].tolist() for position in range(rank, len(plan), num_shares))
    left = ([number for number in batch if number not in done] for batch in batches)
    return [batch for batch in left if batch]


def translate_share(model: TrainedModel, split: Split, batches: list[list[int]], record: Record, world: World) -> int:
    """Translate batches and keep each sentence as soon as its batch is done.

    Returns:
        The number of sentences.

    Raises:
        ProcessError: a batch does not fit into memory.
    """
    begun: list[Batch] = []

    def collated() -> Iterator[Batch]:
        for numbers in batches:
            begun[:] = [split.collate(np.array(numbers))]
            yield begun[0]
            world.advance()

    total = sum(map(len, batches))
    what = "translating" if world.size == 1 else f"translating (process 1 of {world.size})"
    advice = f"take max_tokens below {model.limits.max_tokens}, or fewer beams"
    if not batches:
        return 0
    with (
        fitting_into_memory(model.precision.device, lambda: f"the search of a batch ({named_batch(begun[0])})", advice),
        record.part() as keep,
        progress(what, total, "sentences") as advance,
    ):
        for number, translations in model.generate(split, collated()):
            keep(sentence(number, split.source_text(number), translations))
            advance(1)
    return total
