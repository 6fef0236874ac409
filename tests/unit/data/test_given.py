import numpy as np
import pytest

from seqexp.data.batching import BatchLimits, Order
from seqexp.data.given import GivenPairs, GivenSources
from seqexp.runtime.errors import UserError

EOS, PAD = 2, 1
SOURCES = [np.array([5, 6, EOS]), np.array([7, EOS])]
TARGETS = [np.array([8, EOS]), np.array([9, 10, 11, EOS])]


def test_sources() -> None:
    split = GivenSources(["a b", "c"], SOURCES, PAD)
    batch = split.collate(np.array([1, 0]))
    assert batch.source_tokens.tolist() == [[7, EOS, PAD], [5, 6, EOS]]
    assert batch.source_lengths.tolist() == [2, 3]
    assert batch.indices.tolist() == [1, 0]
    assert batch.target_tokens is None and not split.has_references
    with pytest.raises(UserError, match="have no references"):
        split.references(0)


def test_pairs() -> None:
    split = GivenPairs(["a b", "c"], SOURCES, PAD, ["x", "y z w"], TARGETS)
    batch = split.collate(np.array([0, 1]))
    assert batch.target_tokens is not None and batch.previous_tokens is not None
    assert batch.target_tokens.tolist() == [[8, EOS, PAD, PAD], [9, 10, 11, EOS]]
    assert batch.previous_tokens.tolist() == [[EOS, 8, PAD, PAD], [EOS, 9, 10, 11]]
    assert batch.num_targets == 6
    assert split.references(1) == ["y z w"]
    # the longer side counts
    assert len(split.plan(BatchLimits(max_tokens=4), order=Order.by_length)) == 2
