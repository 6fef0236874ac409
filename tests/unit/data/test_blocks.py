from pathlib import Path

import numpy as np
import pytest

from seqexp.data.blocks import Blocks, block_bounds, shortened
from seqexp.data.indexed import TokenStore, TokenStoreWriter


def lengths(sizes: list[int], blocks: Blocks, size: int) -> list[int]:
    bounds: list[list[int]] = block_bounds(np.array(sizes, dtype=np.int32), blocks, size).tolist()
    return [end - start for start, end in bounds]


# The first two cases are fairseq's own.
@pytest.mark.parametrize(
    ("sizes", "blocks", "size", "expected"),
    [
        ([5, 4, 2], Blocks.none, 3, [3, 3, 3, 2]),
        ([5, 4, 2], Blocks.complete, 6, [5, 6]),
        ([4, 2, 1, 2], Blocks.complete, 3, [4, 3, 2]),
        ([9, 2], Blocks.complete, 4, [9, 2]),
        ([2, 2, 2, 2], Blocks.complete, 4, [4, 4]),
        ([5, 4, 2], Blocks.eos, 3, [5, 4, 2]),
        ([3, 2, 1, 2, 1, 1, 4], Blocks.complete_doc, 20, [5, 2, 4]),
        ([1, 3, 3, 1], Blocks.complete_doc, 3, [3, 3]),
        ([], Blocks.none, 3, []),
        ([], Blocks.complete, 3, []),
        ([], Blocks.eos, 3, []),
        ([1, 1], Blocks.complete_doc, 3, []),
    ],
)
def test_lengths_of_blocks(sizes: list[int], blocks: Blocks, size: int, expected: list[int]) -> None:
    assert lengths(sizes, blocks, size) == expected


def test_documents_end_before_their_blank_line() -> None:
    bounds = block_bounds(np.array([3, 2, 1, 2]), Blocks.complete_doc, 20)
    assert bounds.tolist() == [[0, 5], [6, 8]]


def test_more_tokens_than_32_bits_count() -> None:
    sizes = np.full(430_000, 10_000, dtype=np.int32)
    for blocks in Blocks:
        bounds = block_bounds(sizes, blocks, 10_000)
        assert bounds[-1].tolist() == [4_299_990_000, 4_300_000_000]


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    """Lines of 2, 5 and 3 tokens, of which the last is 2, the end."""
    with TokenStoreWriter(tmp_path / "text.en", np.dtype("<u2")) as writer:
        writer.write(np.array([10, 2, 20, 21, 22, 23, 2, 30, 31, 2]), np.array([2, 5, 3]))
    return TokenStore(tmp_path / "text.en")


def lines(store: TokenStore) -> list[list[int]]:
    return [store[number].tolist() for number in range(len(store))]


def test_lines_are_truncated(store: TokenStore) -> None:
    assert lines(shortened(store, 3)) == [[10, 2], [20, 21, 2], [30, 31, 2]]
    assert shortened(store, 5) is store


def test_lines_are_cropped_at_random(store: TokenStore) -> None:
    found = set()
    for seed in range(30):
        short, cropped, other = lines(shortened(store, 3, generator=np.random.default_rng(seed)))
        assert (short, other) == ([10, 2], [30, 31, 2])
        found.add(tuple(cropped))
    assert found == {(20, 21, 2), (21, 22, 2), (22, 23, 2)}


def test_temporary_files_go_with_the_store(store: TokenStore) -> None:
    cut = shortened(store, 3)
    folder = cut.prefix.parent
    assert folder.is_dir()
    del cut
    assert not folder.exists()
