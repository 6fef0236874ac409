import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.data.batching import BatchLimits, EpochPlan, Order, batch_by_size
from seqexp.runtime.errors import UserError


def batches(order: list[int], sizes: list[int], **limits: int | None) -> list[list[int]]:
    offsets = batch_by_size(np.array(order, dtype=np.int64), np.array(sizes, dtype=np.int64), **limits)
    return [order[start:end] for start, end in pairwise(offsets)]


def by_definition(sizes: list[int], max_tokens: int, max_sentences: int, multiple_of: int) -> list[int]:
    """Sizes of the batches, computed as the reference defines them."""
    counts, start = [], 0
    while start < len(sizes):
        count = 1
        for end in range(start + 1, len(sizes) + 1):
            if (end - start) * max(sizes[start:end]) > max_tokens or end - start > max_sentences:
                break
            count = end - start
        if count > multiple_of:
            count -= count % multiple_of
        counts.append(count)
        start += count
    return counts


SMALL_SIZES = st.lists(st.integers(1, 30), max_size=40)


@settings(deadline=None, max_examples=300)
@given(SMALL_SIZES, st.integers(30, 120), st.integers(1, 20), st.integers(1, 9))
def test_batches_are_those_of_the_definition(
    sizes: list[int], max_tokens: int, max_sentences: int, multiple_of: int
) -> None:
    found = batches(
        [*range(len(sizes))], sizes, max_tokens=max_tokens, max_sentences=max_sentences, multiple_of=multiple_of
    )
    assert [len(batch) for batch in found] == by_definition(sizes, max_tokens, max_sentences, multiple_of)


@settings(deadline=None)
@given(SMALL_SIZES, st.none() | st.integers(30, 120), st.none() | st.integers(1, 20), st.integers(1, 9), st.randoms())
def test_every_example_once_and_within_the_budget(
    sizes: list[int], max_tokens: int | None, max_sentences: int | None, multiple_of: int, random: st.random_module
) -> None:
    order = [*range(len(sizes))]
    random.shuffle(order)  # type: ignore[attr-defined]
    found = batches(order, sizes, max_tokens=max_tokens, max_sentences=max_sentences, multiple_of=multiple_of)
    assert [number for batch in found for number in batch] == order
    for batch in found:
        assert len(batch) * max(sizes[number] for number in batch) <= (max_tokens or 10**9)
        assert len(batch) <= (max_sentences or 10**9)
        assert len(batch) % multiple_of == 0 or len(batch) < multiple_of


def test_agrees_with_the_reference_implementation(shared: Path) -> None:
    cases = json.loads((shared / "golden" / "peer_cases" / "small.json").read_text())["batch_by_size"]
    assert cases
    for case in cases:
        multiple_of = case["required_batch_size_multiple"]
        limits = {"max_tokens": case["max_tokens"], "max_sentences": case["max_sentences"]}
        found = batches(case["order"], case["sizes"], multiple_of=multiple_of, **limits)
        if len(found[-1]) % multiple_of != 0:
            found.pop()  # the reference drops a ragged last batch, and with it the longest examples
        assert found == case["batches"]


def test_no_limits_and_no_examples() -> None:
    assert batches([2, 0, 1], [5, 1, 9]) == [[2, 0, 1]]
    assert batches([], [], max_tokens=10) == []


def test_an_example_beyond_the_budget_is_named() -> None:
    with pytest.raises(UserError, match=r"batch.max_tokens=8 is smaller than example 2, which has 9 tokens"):
        batches([1, 2, 0], [5, 1, 9], max_tokens=8)


SOURCE = np.random.default_rng(1).integers(2, 40, 500).astype(np.int32)
TARGET = np.random.default_rng(2).integers(2, 40, 500).astype(np.int32)
LIMITS = BatchLimits(max_tokens=300, max_sentences=50, multiple_of=8)


def plan(order: Order = Order.shuffled, seed: int = 1, epoch: int = 1, **options: np.ndarray) -> list[list[int]]:
    made = EpochPlan(SOURCE, TARGET, LIMITS, order=order, seed=seed, epoch=epoch, **options)
    return [made[position].tolist() for position in range(len(made))]


@pytest.mark.parametrize("order", list(Order))
def test_an_epoch_has_every_example_once(order: Order) -> None:
    found = plan(order)
    assert sorted(number for batch in found for number in batch) == list(range(500))
    for batch in found:
        assert len(batch) * max(max(SOURCE[number], TARGET[number]) for number in batch) <= 300


def test_an_epoch_is_a_function_of_seed_and_epoch() -> None:
    assert plan(seed=1, epoch=1) == plan(seed=1, epoch=1)
    drawn = [plan(seed=seed, epoch=epoch) for seed in (1, 2) for epoch in (0, 1, 2)]
    assert all(one != other for i, one in enumerate(drawn) for other in drawn[:i])


def test_epochs_differ_in_what_is_batched_together() -> None:
    plans = [EpochPlan(SOURCE // 8, TARGET // 8, BatchLimits(max_sentences=8), epoch=epoch) for epoch in (1, 2)]
    first, second = ({tuple(sorted(made[i])) for i in range(len(made))} for made in plans)
    assert len(first & second) < len(first) / 2


def test_an_epoch_never_changes_from_one_version_to_the_next() -> None:
    """Resumed runs rely on it."""
    made = EpochPlan(np.array([5] * 6 + [7] * 4), None, BatchLimits(max_sentences=3), seed=1, epoch=2)
    assert [made[position].tolist() for position in range(len(made))] == [[8, 6, 9], [4, 3, 2], [5, 0, 1], [7]]


def test_by_length_is_sorted_and_needs_no_seed() -> None:
    found = plan(Order.by_length)
    assert found == plan(Order.by_length, seed=7, epoch=9)
    keys = [(SOURCE[number], TARGET[number], number) for batch in found for number in batch]
    assert keys == sorted(keys)


def test_as_is_keeps_the_order() -> None:
    assert [number for batch in plan(Order.as_is) for number in batch] == list(range(500))


def test_shuffled_batches_are_of_similar_length() -> None:
    spread = [max(SOURCE[batch]) - min(SOURCE[batch]) for batch in plan()]
    assert np.mean(spread) < 3


@pytest.mark.parametrize("order", list(Order))
def test_only_chosen_examples(order: Order) -> None:
    numbers = np.array([3, 141, 59, 26, 5])
    assert sorted(number for batch in plan(order, numbers=numbers) for number in batch) == sorted(numbers.tolist())


def test_long_sizes_are_sorted_too() -> None:
    sizes = np.array([70000, 5, 66000, 1], dtype=np.int32)
    made = EpochPlan(sizes, None, BatchLimits(max_sentences=1), order=Order.by_length)
    assert [made[position].tolist() for position in range(4)] == [[3], [1], [2], [0]]


def test_no_examples_no_batches() -> None:
    nothing = np.zeros(0, dtype=np.int32)
    assert len(EpochPlan(nothing, nothing, LIMITS)) == 0
