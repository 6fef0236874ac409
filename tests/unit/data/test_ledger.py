from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqexp.data.ledger import LEDGER, Ledger
from seqexp.data.text import Workers


@dataclass(frozen=True)
class Square:
    number: int
    directory: Path

    @property
    def name(self) -> str:
        return f"square.{self.number}"

    def outputs(self) -> list[Path]:
        return [self.directory / self.name]


def square(part: Square) -> int:
    with (part.directory / "log").open("a") as log:
        log.write(f"{part.number} ")
    part.outputs()[0].write_text(str(part.number**2))
    return part.number**2


@pytest.fixture(params=[1, 2])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    with Workers(request.param) as workers:
        yield lambda: Ledger(tmp_path, workers)


def squares(directory: Path) -> list[Square]:
    return [Square(number, directory) for number in range(4)]


def done(directory: Path) -> list[str]:
    """The numbers that were squared since the last call."""
    log = directory / "log"
    numbers = sorted(log.read_text().split()) if log.exists() else []
    log.unlink(missing_ok=True)
    return numbers


def test_parts_are_done_once(make: Callable[[], Ledger], tmp_path: Path) -> None:
    assert make().num_found == 0
    assert list(make().map(square, squares(tmp_path)[:2])) == [0, 1]
    assert done(tmp_path) == ["0", "1"]
    again = make()
    assert again.num_found == 2
    assert list(again.map(square, squares(tmp_path))) == [0, 1, 4, 9]
    assert done(tmp_path) == ["2", "3"]
    assert len((tmp_path / LEDGER).read_text().splitlines()) == 4


@pytest.mark.parametrize("damage", ["0", "10", None])
def test_what_is_damaged_is_done_again(make: Callable[[], Ledger], tmp_path: Path, damage: str | None) -> None:
    list(make().map(square, squares(tmp_path)))
    done(tmp_path)
    (tmp_path / "square.2").unlink()
    if damage is not None:
        (tmp_path / "square.2").write_text(damage)
    assert list(make().map(square, squares(tmp_path))) == [0, 1, 4, 9]
    assert done(tmp_path) == ["2"]


def test_a_torn_last_line_is_as_if_it_were_not_there(make: Callable[[], Ledger], tmp_path: Path) -> None:
    list(make().map(square, squares(tmp_path)))
    done(tmp_path)
    path = tmp_path / LEDGER
    path.write_bytes(path.read_bytes()[:-10])
    assert list(make().map(square, squares(tmp_path))) == [0, 1, 4, 9]
    assert done(tmp_path) == ["3"]
    assert make().num_found == 4


def test_work_of_this_process(make: Callable[[], Ledger], tmp_path: Path) -> None:
    def work() -> tuple[str, list[Path]]:
        path = tmp_path / "made"
        path.write_text("x")
        with (tmp_path / "log").open("a") as log:
            log.write("made ")
        return "figures", [path]

    assert make().once("step", work) == "figures"
    assert make().once("step", work) == "figures"
    assert done(tmp_path) == ["made"]
    (tmp_path / "made").unlink()
    assert make().once("step", work) == "figures"
    assert done(tmp_path) == ["made"]
