import itertools
from typing import Any

import pytest
import torch

from seqexp.generators.constraints import ConstraintOrder, ConstraintState

ORDERED, UNORDERED = ConstraintOrder.ordered, ConstraintOrder.unordered
SIX = [[1, 2, 3], [1, 3], [1, 4], [4, 5, 6, 7], [1], [4, 5]]
ALL = [1, 2, 3, 1, 3, 1, 4, 4, 5, 6, 7, 1, 4, 5]


def read(order: ConstraintOrder, phrases: list[list[int]], tokens: list[int]) -> ConstraintState:
    state = order.begin(phrases)
    for token in tokens:
        state = state.advance(token)
    return state


@pytest.mark.parametrize(
    ("phrases", "tokens", "unordered", "ordered"),
    [
        (SIX, [], (0, 0, False), (0, 0, False)),
        (SIX, [1, 2], (2, 0, False), (2, 0, False)),
        (SIX, [1, 2, 94], (1, 1, False), (0, 0, False)),
        (SIX, [1, 3, 999, 1, 4], (4, 2, False), (0, 0, False)),
        (SIX, [1, 3, 999, 1, 4, 999], (4, 2, False), None),
        (SIX, [4, 5, 6, 8], (2, 1, False), None),
        (SIX, [1, 2, 3, 999, 999], None, (3, 1, False)),
        (SIX, [1, 2, 3, 77, 1, 3, 1], None, (6, 2, False)),
        (SIX, ALL, (14, 6, True), (14, 6, True)),
        (SIX, [*ALL[:3], 999, *ALL[3:], 117], (14, 6, True), (14, 6, True)),
        ([[1], [2, 3]], [1, 1], (1, 1, False), (1, 1, False)),
        ([[1, 2], [1, 2]], [1, 2, 1, 2], (4, 2, True), (4, 2, True)),
        ([[1, 2], [1, 2]], [1, 2, 1, 2, 1], (4, 2, True), (4, 2, True)),
        ([[1, 2], [3, 4]], [1, 2, 3, 4, 5], (4, 2, True), (4, 2, True)),
        # Where a phrase begins anew inside itself, or after another was begun.
        ([[1, 1, 2]], [1, 1, 1, 2], (3, 1, True), (3, 1, True)),
        ([[1, 2], [3, 4]], [1, 2, 3, 9, 3, 4], (4, 2, True), (4, 2, True)),
        ([[1, 2, 3, 4], [2, 3]], [1, 2, 3, 9], (2, 1, False), None),
    ],
)
def test_states(phrases: list[list[int]], tokens: list[int], unordered: Any, ordered: Any) -> None:
    for order, expected in ((UNORDERED, unordered), (ORDERED, ordered)):
        if expected is not None:
            state = read(order, phrases, tokens)
            assert (state.bank, state.num_completed, state.finished) == expected


def test_next_tokens() -> None:
    assert read(UNORDERED, SIX, []).next_tokens == {1, 4}
    assert read(UNORDERED, SIX, [1]).next_tokens == {1, 2, 3, 4}
    assert read(UNORDERED, [[1], [2]], [1, 9]).next_tokens == {2}
    assert read(UNORDERED, SIX, ALL).next_tokens == set()
    assert read(ORDERED, SIX, [1, 2]).next_tokens == {3}
    assert read(ORDERED, SIX, ALL).next_tokens == set()


def test_an_empty_phrase() -> None:
    with pytest.raises(ValueError, match="a constraint is empty"):
        UNORDERED.begin([[1], []])


def occurs(phrases: list[list[int]], tokens: tuple[int, ...]) -> bool:
    """Whether the phrases occur one after the other, in this order."""
    if not phrases:
        return True
    first, *others = phrases
    for start in range(len(tokens) - len(first) + 1):
        if list(tokens[start : start + len(first)]) == first:
            return occurs(others, tokens[start + len(first) :])
    return False


@pytest.mark.parametrize("seed", range(8))
def test_finished_means_that_they_occur(seed: int) -> None:
    """All phrases of up to three words over three, in all sequences of six: none is passed over when order is given;
    without, what is found is there."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 4, (2 + seed % 2,), generator=draw).tolist()
    phrases = [torch.randint(1, 4, (length,), generator=draw).tolist() for length in lengths]
    for tokens in itertools.product((1, 2, 3), repeat=6):
        assert read(ORDERED, phrases, list(tokens)).finished == occurs(phrases, tokens)
        if read(UNORDERED, phrases, list(tokens)).finished:
            assert any(occurs(list(order), tokens) for order in itertools.permutations(phrases))


@pytest.mark.parametrize("order", [ORDERED, UNORDERED])
def test_some_word_always_leads_on(order: ConstraintOrder) -> None:
    draw = torch.Generator().manual_seed(3)
    for _ in range(100):
        phrases = [torch.randint(1, 4, (n,), generator=draw).tolist() for n in (1, 2, 3, 2)]
        state = order.begin(phrases)
        for token in torch.randint(1, 5, (12,), generator=draw).tolist():
            if not state.finished:
                assert max(state.advance(word).bank for word in state.next_tokens) == state.bank + 1
            state = state.advance(token)
