import itertools

import pytest
import torch

from seqexp.generators.search import repeated_ngrams

FILLER = -1


def test_pinned_example() -> None:
    previous = torch.tensor([[2, 2, 2, 2], [3, 3, 3, 3]])
    assert [set(row) for row in repeated_ngrams(previous, 2, FILLER).tolist()] == [{2}, {3}]


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_against_a_plain_loop(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    for length in range(8):
        previous = torch.randint(4, 7, (20, length), generator=generator)
        for row, found in zip(previous.tolist(), repeated_ngrams(previous, size, FILLER).tolist(), strict=True):
            ngrams = {tuple(row[start : start + size]) for start in range(length - size + 1)}
            end = tuple(row[length - size + 1 :]) if length >= size else None
            assert set(found) - {FILLER} == {ngram[-1] for ngram in ngrams if ngram[:-1] == end}


def test_filler_is_not_forbidden() -> None:
    assert set(itertools.chain(*repeated_ngrams(torch.tensor([[4, 5, 6]]), 2, FILLER).tolist())) == {FILLER}
