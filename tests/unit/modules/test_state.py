import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqexp.modules.state import GrowingCache

HEADS, SIZE = 2, 3


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_sequence_of_appends_and_reorders(data: st.DataObject) -> None:
    num_rows = data.draw(st.integers(1, 4))
    cache, expected = GrowingCache(), torch.empty(num_rows, HEADS, 0, SIZE)
    for _ in range(data.draw(st.integers(1, 12))):
        new = torch.randn(num_rows, HEADS, data.draw(st.integers(1, 20)), SIZE)
        expected = torch.cat([expected, new], dim=2)
        assert torch.equal(cache.append(new), expected)
        rows = torch.tensor(data.draw(st.lists(st.integers(0, num_rows - 1), min_size=1, max_size=6)))
        cache.reorder(rows)
        expected, num_rows = expected[rows], len(rows)
    assert cache.length == expected.shape[2]


def test_reorder_before_the_first_step() -> None:
    cache = GrowingCache()
    cache.reorder(torch.tensor([0, 0]))
    new = torch.randn(2, HEADS, 1, SIZE)
    assert torch.equal(cache.append(new), new)


def test_what_is_kept_is_not_copied() -> None:
    """A step writes into the buffer that the step before wrote into."""
    cache = GrowingCache()
    first: Tensor = cache.append(torch.randn(2, HEADS, 1, SIZE))
    second = cache.append(torch.randn(2, HEADS, 1, SIZE))
    assert first.data_ptr() == second.data_ptr()


def test_reordering_takes_no_new_memory_in_every_step() -> None:
    cache, seen = GrowingCache(), set()
    for _ in range(20):
        seen.add(cache.append(torch.randn(2, HEADS, 1, SIZE)).data_ptr())
        cache.reorder(torch.tensor([1, 0]))
    assert len(seen) == 2
