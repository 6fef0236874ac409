import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.data import text
from seqexp.data.text import (
    Chunk,
    Text,
    TextFile,
    Workers,
    copy_lines,
    inspect_files,
    lines_of,
    read_blocks,
    read_lines,
    split_file,
)
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


def inspect(*paths: Path, num_workers: int = 1) -> list[TextFile]:
    with Workers(num_workers) as workers:
        return inspect_files(paths, workers, Path("/generated"))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
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
    assert inspect(path)[0].num_lines == len(lines)


@pytest.mark.usefixtures("small_pieces")
@settings(deadline=None)
@given(st.text(st.sampled_from("aä\n\r \u2028漢")))
def test_chunks_hold_all_lines_once(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    path = write(tmp_path_factory.mktemp("text"), content.encode())
    chunks = split_file(path)
    assert [chunk.start for chunk in chunks] == [0, *(chunk.end for chunk in chunks)][: len(chunks)]
    assert sum(chunk.num_bytes for chunk in chunks) == len(content.encode())
    expected = [line.removesuffix("\r") for line in content.removesuffix("\n").split("\n")] if content else []
    assert [line for chunk in chunks for lines in read_lines(chunk) for line in lines] == expected
    assert not content or inspect(path)[0].num_lines == len(expected)
    assert all(block.endswith(b"\n") for chunk in chunks for block in list(read_blocks(chunk))[:-1])


def test_chunks_are_of_moderate_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, b"x" * 99 + b"\n" * (1 << 20))
    assert len(split_file(path)) == 5
    monkeypatch.setattr(text, "MIN_CHUNK_BYTES", 1)
    assert len(split_file(path)) == 128
    monkeypatch.setattr(text, "MAX_CHUNK_BYTES", 1 << 12)
    assert len(split_file(path)) == 257


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    ("content", "line"), [(b"a\nb\nc\xffd\n", 3), (b"\xc3\nb\n", 1), (b"aaaa\nbbbb\ncccc\n\xe4", 4)]
)
def test_text_that_is_not_utf8_is_refused(tmp_path: Path, content: bytes, line: int) -> None:
    good = write(tmp_path, b"gut\n" * 10).rename(tmp_path / "good")
    for num_workers in (1, 2):
        with pytest.raises(UserError, match=rf"text:{line}: not UTF-8"):
            inspect(good, write(tmp_path, content), good, num_workers=num_workers)


@pytest.mark.usefixtures("small_pieces")
def test_hashes_tell_files_apart(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"aaa\nbbb\nccc\n")
    first, second = inspect(write(tmp_path, b"aaa\nbbb\nccd\n"), tmp_path / "other")
    assert first.sha256 != second.sha256
    assert first.num_lines == second.num_lines == 3


def test_generated_files_are_known_by_their_own_name(tmp_path: Path) -> None:
    path = write(tmp_path, b"a\n")
    with Workers(1) as workers:
        assert inspect_files([path], workers, tmp_path)[0].name == "text"
        assert inspect_files([path], workers, tmp_path / "generated")[0].name == str(path)


def test_places_in_a_text_of_several_files(tmp_path: Path) -> None:
    (tmp_path / "second").write_bytes(b"c\nd")
    whole = Text(tuple(inspect(write(tmp_path, b"a\nb\n"), tmp_path / "second")))
    assert whole.num_lines == 4
    assert [whole.line(number) for number in range(4)] == ["a", "b", "c", "d"]
    assert whole.place(1) == f"{tmp_path}/text:2"
    assert whole.place(2) == f"{tmp_path}/second:1"
    with pytest.raises(IndexError):
        whole.place(4)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"text: cannot be read: No such file"):
        inspect(tmp_path / "text")
    with pytest.raises(UserError, match=r"text is empty"):
        inspect(write(tmp_path, b""))


def test_a_file_that_becomes_shorter_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, b"a\nb\n")
    with pytest.raises(UserError, match="became shorter"):
        list(read_blocks(Chunk(path, 0, 100)))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("content", [b"a\r\nb\n\nd\ne", b"a\r\nb\n\nd\ne\n"])
def test_copying_chosen_lines(tmp_path: Path, content: bytes) -> None:
    files = inspect(write(tmp_path, content))
    copy_lines(Text(tuple(files)), tmp_path / "all", None)
    assert (tmp_path / "all").read_bytes() == content
    copy_lines(Text(tuple(files * 2)), tmp_path / "twice", None)
    assert (tmp_path / "twice").read_bytes() == content.removesuffix(b"\n") + b"\n" + content
    (tmp_path / "kept").write_bytes(bytes([1, 0, 1, 0, 1] * 2))
    copy_lines(Text(tuple(files * 2)), tmp_path / "some", tmp_path / "kept")
    assert (tmp_path / "some").read_bytes() == b"a\r\n\ne\n" * 2


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
