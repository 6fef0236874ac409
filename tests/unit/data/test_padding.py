from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqexp.corpora.parallel import ParallelCorpusConfig
from seqexp.data.batching import BatchLimits, Order
from seqexp.data.collate import PaddingSide, PairCollater
from seqexp.data.padding import NO_PADDING, Padding, Widths
from seqexp.data.pairs import LongExamples, PairSplit
from seqexp.data.prepare import PrepareConfig, prepare

SIZES = np.array([3, 4, 4, 5, 7, 8, 9, 12, 20, 33], dtype=np.int32)


def test_buckets_are_quantiles() -> None:
    # of ten sorted sizes, those at a third, two thirds and the end, rounded down to one that occurs
    widths = Padding(num_buckets=3).widths(SIZES, None)
    assert widths.buckets is not None
    assert widths.buckets.tolist() == [5, 9, 33]
    assert widths(SIZES).tolist() == [5, 5, 5, 5, 9, 9, 9, 33, 33, 33]
    assert widths(SIZES).dtype == np.int32


def test_equal_quantiles_are_one_bucket() -> None:
    widths = Padding(num_buckets=4).widths(np.array([2, 2, 2, 2, 2, 7]), None)
    assert widths.buckets is not None
    assert widths.buckets.tolist() == [2, 7]


def test_multiples() -> None:
    assert Padding(multiple=4).widths(SIZES, None)(SIZES).tolist() == [4, 4, 4, 8, 8, 8, 12, 12, 20, 36]
    both = Padding(num_buckets=3, multiple=4).widths(SIZES, None)
    assert both(SIZES).tolist() == [8, 8, 8, 8, 12, 12, 12, 36, 36, 36]


def test_no_wider_than_the_model() -> None:
    assert Padding(multiple=8).widths(SIZES, 34)(np.array([3, 31, 33, 34])).tolist() == [8, 32, 34, 34]


def test_what_is_longer_than_every_bucket_stays() -> None:
    assert Widths(np.array([5, 9]))(np.array([1, 9, 10, 50])).tolist() == [5, 9, 10, 50]


def test_no_padding() -> None:
    assert NO_PADDING.widths(SIZES, 5)(SIZES).tolist() == SIZES.tolist()
    assert Padding(num_buckets=3).widths(SIZES[:0], None)(SIZES[:0]).tolist() == []


@given(
    st.lists(st.integers(1, 200), min_size=1),
    st.integers(0, 6),
    st.integers(1, 9),
    st.none() | st.integers(200, 300),
)
def test_widths_hold_their_sizes_and_are_few(
    sizes: list[int], num_buckets: int, multiple: int, longest: int | None
) -> None:
    found = Padding(num_buckets, multiple).widths(np.array(sizes), longest)(np.array(sizes))
    assert (found >= sizes).all()
    assert ((found % multiple == 0) | (found == longest)).all()
    assert num_buckets == 0 or len(set(found.tolist())) <= num_buckets


@pytest.fixture
def split(
    make_config: Callable[..., PrepareConfig],
    write_corpus: Callable[..., ParallelCorpusConfig],
    catalog: Mapping[str, Mapping[str, str]],
) -> PairSplit:
    train = [("a " * (number % 7 + 1), "b " * (number % 5 + 1)) for number in range(35)]
    directory: Path = prepare(make_config(corpus=write_corpus(train=train)), catalog).directory
    return PairSplit.load(directory, "train")


def test_batches_have_the_widths(split: PairSplit) -> None:
    """Sources have 2 to 8 tokens, targets 2 to 6."""
    padded = split.padded(Padding(num_buckets=2), None, None)
    assert padded.source_widths.buckets is not None
    assert padded.target_widths.buckets is not None
    collate = PairCollater(padded, target_padding=PaddingSide.left)
    plan = padded.plan(BatchLimits(max_tokens=40), order=Order.shuffled, epoch=1)
    shapes = set()
    for position in range(len(plan)):
        batch, plain = collate(plan[position]), PairCollater(split, target_padding=PaddingSide.left)(plan[position])
        assert batch.target_tokens is not None
        assert batch.previous_tokens is not None
        assert plain.target_tokens is not None
        shapes.add((batch.source_tokens.shape[1], batch.target_tokens.shape[1]))
        assert batch.num_sentences * max(batch.source_tokens.shape[1], batch.target_tokens.shape[1]) <= 40
        assert batch.previous_tokens.shape == batch.target_tokens.shape
        assert batch.num_targets == plain.num_targets
        assert batch.source_lengths.tolist() == plain.source_lengths.tolist()
        width = plain.source_tokens.shape[1]
        assert batch.source_tokens[:, :width].equal(plain.source_tokens)
        assert (batch.source_tokens[:, width:] == split.source_vocabulary.pad).all()
        assert batch.target_tokens[:, -plain.target_tokens.shape[1] :].equal(plain.target_tokens)
    assert {source for source, _ in shapes} <= set(padded.source_widths.buckets.tolist())
    assert {target for _, target in shapes} <= set(padded.target_widths.buckets.tolist())


def test_examples_that_are_not_used_make_no_bucket(split: PairSplit) -> None:
    padded = split.limited(5, None, LongExamples.drop).padded(Padding(num_buckets=1), 5, None)
    assert padded.source_widths.buckets is not None
    assert padded.source_widths.buckets.tolist() == [5]
    cut = split.limited(5, 4, LongExamples.truncate).padded(Padding(num_buckets=1), 5, 4)
    batch = PairCollater(cut)(np.array([0, 6]))
    assert batch.target_tokens is not None
    assert (batch.source_tokens.shape[1], batch.target_tokens.shape[1]) == (5, 4)
