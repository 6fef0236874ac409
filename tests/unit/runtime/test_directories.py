"""A directory appears whole, or not at all."""

from pathlib import Path

import pytest

from seqexp.runtime.files import atomic_directory


def test_it_takes_its_name_when_all_is_written(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "below" / "new") as directory:
        (directory / "file").write_text("content")
        assert not (tmp_path / "below" / "new").exists()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        *("below", "below/new", "below/new/file"),
    ]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_directory(tmp_path / "new") as directory:
            (directory / "file").write_text("content")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not list(tmp_path.iterdir())


def test_who_was_faster_stays(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "new") as directory:
        (directory / "file").write_text("late")
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "file").write_text("fast")
    assert (tmp_path / "new" / "file").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]
