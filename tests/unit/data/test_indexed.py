import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.data.indexed import TokenStore, TokenStoreWriter, index_path, token_dtype, token_path
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import sha256_of_file

SEQUENCES = [[5, 6, 2], [2], [7, 8, 9, 10, 2]]
EOS, PAD = 2, 1


def write(prefix: Path, sequences: list[list[int]], vocabulary_size: int = 100) -> TokenStore:
    with TokenStoreWriter(prefix, token_dtype(vocabulary_size)) as writer:
        for sequence in sequences:
            writer.write(np.array(sequence, dtype=np.int64), np.array([len(sequence)]))
    return TokenStore(prefix)


@pytest.mark.parametrize("size", [100, 65499, 65500, 2**32 - 2, 2**32 - 1])
def test_every_index_of_a_vocabulary_fits(tmp_path: Path, size: int) -> None:
    store = write(tmp_path / "x", [[0, size - 1]], vocabulary_size=size)
    assert store[0].tolist() == [0, size - 1]


def test_types_are_as_small_as_the_vocabulary_allows() -> None:
    assert [token_dtype(size).itemsize for size in (10, 65499, 65500, 2**32 - 2, 2**32)] == [2, 2, 4, 4, 8]


def test_reading_what_was_written(tmp_path: Path) -> None:
    store = write(tmp_path / "train.en", SEQUENCES)
    assert len(store) == 3
    assert store.num_tokens == 9
    assert store.sizes.tolist() == [3, 1, 5]
    assert [store[i].tolist() for i in range(3)] == SEQUENCES
    assert {path.name for path in tmp_path.iterdir()} == {"train.en.bin", "train.en.idx"}
    for number in (3, -1):
        with pytest.raises(IndexError):
            store[number]


def test_bytes_on_disk(tmp_path: Path) -> None:
    write(tmp_path / "x", [[258, 2]])
    assert token_path(tmp_path / "x").read_bytes() == bytes([2, 1, 2, 0])
    expected = b"SEQXTOK\0" + bytes([1, 0, 0, 0, 1, 0, 0, 0, 1] + [0] * 7 + [2] + [0] * 7 + [0] * 8 + [2] + [0] * 7)
    assert index_path(tmp_path / "x").read_bytes() == expected


def test_an_empty_store(tmp_path: Path) -> None:
    store = write(tmp_path / "x", [])
    assert len(store) == 0
    padded, sizes = store.gather(np.array([], dtype=np.int64), PAD)
    assert padded.shape == (0, 0)
    assert len(sizes) == 0


def test_many_sequences_at_once(tmp_path: Path) -> None:
    with TokenStoreWriter(tmp_path / "x", token_dtype(100)) as writer:
        writer.write(np.array([5, 6, 2, 2]), np.array([3, 1]))
        writer.write(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
        writer.write(np.array([7, 8, 9, 10, 2]), np.array([5]))
    store = TokenStore(tmp_path / "x")
    assert [store[i].tolist() for i in range(3)] == SEQUENCES


def test_gathering(tmp_path: Path) -> None:
    store = write(tmp_path / "x", SEQUENCES)
    right, sizes = store.gather(np.array([2, 1, 0]), PAD)
    assert right.dtype == np.int64
    assert right.tolist() == [[7, 8, 9, 10, 2], [2, 1, 1, 1, 1], [5, 6, 2, 1, 1]]
    assert sizes.tolist() == [5, 1, 3]
    left, _ = store.gather(np.array([2, 1, 0]), PAD, left=True)
    assert left.tolist() == [[7, 8, 9, 10, 2], [1, 1, 1, 1, 2], [1, 1, 5, 6, 2]]
    cut, sizes = store.gather(np.array([2, 1, 0]), PAD, max_size=3)
    assert cut.tolist() == [[7, 8, 2], [2, 1, 1], [5, 6, 2]]
    assert sizes.tolist() == [3, 1, 3]


@settings(deadline=None, max_examples=50)
@given(
    sequences=st.lists(st.lists(st.integers(3, 99), max_size=8), min_size=1, max_size=8),
    left=st.booleans(),
    max_size=st.none() | st.integers(1, 6),
    data=st.data(),
)
def test_gathering_is_padding_one_by_one(
    tmp_path_factory: pytest.TempPathFactory,
    sequences: list[list[int]],
    left: bool,
    max_size: int | None,
    data: st.DataObject,
) -> None:
    sequences = [[*sequence, EOS] for sequence in sequences]
    store = write(tmp_path_factory.mktemp("store") / "x", sequences)
    numbers = data.draw(st.lists(st.integers(0, len(sequences) - 1), max_size=6))
    padded, sizes = store.gather(np.array(numbers, dtype=np.int64), PAD, left=left, max_size=max_size)
    rows = [sequences[number] for number in numbers]
    if max_size is not None:
        rows = [row if len(row) <= max_size else [*row[: max_size - 1], EOS] for row in rows]
    width = max(map(len, rows), default=0)
    fill = [[PAD] * (width - len(row)) for row in rows]
    expected = [space + row if left else row + space for row, space in zip(rows, fill, strict=True)]
    assert padded.tolist() == expected
    assert sizes.tolist() == [len(row) for row in rows]


def test_another_process_maps_the_files_anew(tmp_path: Path) -> None:
    store = write(tmp_path / "x", [[5] * 10000])
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    assert pickle.loads(sent)[0].tolist() == store[0].tolist()


def test_a_failed_writer_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with TokenStoreWriter(tmp_path / "x", token_dtype(10)) as writer:
            writer.write(np.array([1]), np.array([1]))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_checksums(tmp_path: Path) -> None:
    store = write(tmp_path / "x", SEQUENCES)
    tokens, index = sha256_of_file(token_path(store.prefix)), sha256_of_file(index_path(store.prefix))
    store.verify(tokens, index)
    content = bytearray(token_path(store.prefix).read_bytes())
    content[0] ^= 1
    token_path(store.prefix).write_bytes(content)
    with pytest.raises(UserError, match=r"x.bin: the content differs from the manifest's checksum"):
        TokenStore(store.prefix).verify(tokens, index)


def corrupt(path: Path, position: int, value: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[position : position + len(value)] = value
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, b"MMIDIDX\0", "not an index of token sequences"),
        (8, b"\x02", "version 2, type 1"),
        (12, b"\x09", "version 1, type 9"),
        (16, b"\x04", r"x.idx: it has 64 bytes where its header says 72"),
        (24, b"\x0a", r"x.bin: it has 18 bytes where its header says 20"),
        (12, b"\x02", r"x.bin: it has 18 bytes where its header says 36"),
        (32, b"\x01", "corrupt offsets"),
        (40, b"\x05", "corrupt offsets"),
        (47, b"\xff", "corrupt offsets"),
        (56, b"\x08", "corrupt offsets"),
    ],
)
def test_corrupt_indices_are_refused(tmp_path: Path, position: int, value: bytes, message: str) -> None:
    write(tmp_path / "x", SEQUENCES)
    corrupt(tmp_path / "x.idx", position, value)
    with pytest.raises(UserError, match=message):
        TokenStore(tmp_path / "x")


@pytest.mark.parametrize("name", ["x.bin", "x.idx"])
@pytest.mark.parametrize("size", [0, 10, -1])
def test_truncated_files_are_refused(tmp_path: Path, name: str, size: int) -> None:
    write(tmp_path / "x", SEQUENCES)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:size])
    with pytest.raises(UserError, match=f"{name}: .*prepare the data again"):
        TokenStore(tmp_path / "x")


@pytest.mark.parametrize("name", ["x.bin", "x.idx"])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    write(tmp_path / "x", SEQUENCES)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"{name}.*No such file"):
        TokenStore(tmp_path / "x")
