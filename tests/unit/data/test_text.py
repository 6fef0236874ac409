import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.data import text
from seqexp.data.text import Chunk, Workers, copy_lines, inspect, lines_of, read_blocks, read_lines, split_file
from seqexp.runtime.errors import UserError


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and chunks of a few bytes, so that small files have several."""
    monkeypatch.setattr(text, "BLOCK_BYTES", 7)
    monkeypatch.setattr(text, "MIN_CHUNK_BYTES", 5)


def write(directory: Path, content: bytes) -> Path:
    path = directory / "text"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\r", ["a"]),
        (b"a\rb\n", ["a\rb"]),
        (b"\n\na\n\n", ["", "", "a", ""]),
        ("a\u2028b\x85c\x0bd\n".encode(), ["a\u2028b\x85c\x0bd"]),
        (b"a\0b\n", ["a\0b"]),
    ],
)
def test_lines(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    path = write(tmp_path, content)
    assert list(lines_of(path)) == lines
    assert inspect(path).num_lines == len(lines)


@pytest.mark.usefixtures("small_pieces")
@settings(deadline=None)
@given(st.text(st.sampled_from("aä\n\r \u2028漢")), st.integers(1, 9))
def test_chunks_hold_all_lines_once(tmp_path_factory: pytest.TempPathFactory, content: str, num_parts: int) -> None:
    path = write(tmp_path_factory.mktemp("text"), content.encode())
    chunks = split_file(path, num_parts)
    assert [chunk.start for chunk in chunks] == [0, *(chunk.end for chunk in chunks)][: len(chunks)]
    assert sum(chunk.num_bytes for chunk in chunks) == len(content.encode())
    expected = [line.removesuffix("\r") for line in content.removesuffix("\n").split("\n")] if content else []
    assert [line for chunk in chunks for lines in read_lines(chunk) for line in lines] == expected
    assert inspect(path).num_lines == len(expected)
    assert all(block.endswith(b"\n") for chunk in chunks for block in list(read_blocks(chunk))[:-1])


def test_chunks_are_of_moderate_size(tmp_path: Path) -> None:
    path = write(tmp_path, b"x" * 99 + b"\n" * (1 << 20))
    assert len(split_file(path, 1)) == 1
    assert len(split_file(path, 2)) == 2
    assert len(split_file(path, 1000)) <= 5
    assert len(split_file(path, 1, max_bytes=1 << 19)) == 3


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    ("content", "line"), [(b"a\nb\nc\xffd\n", 3), (b"\xc3\nb\n", 1), (b"aaaa\nbbbb\ncccc\n\xe4", 4)]
)
def test_text_that_is_not_utf8_is_refused(tmp_path: Path, content: bytes, line: int) -> None:
    with pytest.raises(UserError, match=rf"text:{line}: not UTF-8"):
        inspect(write(tmp_path, content))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"text: cannot be read: No such file"):
        inspect(tmp_path / "text")


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, b"a\nb\n")
    with pytest.raises(UserError, match="became shorter"):
        list(read_blocks(Chunk(path, 0, 100)))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("content", [b"a\r\nb\n\nd\ne", b"a\r\nb\n\nd\ne\n"])
def test_copying_chosen_lines(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    copy_lines(path, tmp_path / "all", None)
    assert (tmp_path / "all").read_bytes() == content
    copy_lines(path, tmp_path / "some", np.array([True, False, True, False, True]))
    assert (tmp_path / "some").read_bytes() == b"a\r\n\ne\n"


def square(number: int) -> int:
    if number == 13:
        raise UserError("13 is refused")
    return number * number


def die(number: int) -> int:
    os._exit(1)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_workers_keep_the_order(num_workers: int) -> None:
    with Workers(num_workers) as workers:
        assert list(workers.map(square, [*range(10)])) == [number * number for number in range(10)]
        assert list(workers.map(square, [])) == []
        with pytest.raises(UserError, match="13 is refused"):
            list(workers.map(square, [1, 13, 2]))


def test_a_dead_worker_is_a_message() -> None:
    with Workers(2) as workers, pytest.raises(UserError, match="a worker process died"):
        list(workers.map(die, [1]))


def test_workers_are_as_many_as_processors_by_default() -> None:
    assert Workers().num_workers >= 1
