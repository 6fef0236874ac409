from pathlib import Path

import numpy as np
import pytest

from seqexp.data.manifest import DroppedRecord
from seqexp.data.policies import EmptyLines, LinePolicyConfig, LongLines, Selection, Survey
from seqexp.data.text import Chunk, Text, TextFile
from seqexp.runtime.errors import UserError

SIZES = np.array([[3, 1, 9, 4], [3, 2, 5, 1]], np.int32)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text of two files a side, with three lines and the rest."""
    monkeypatch.chdir(tmp_path)
    for name in ("x.en", "x.de", "y.en", "y.de"):
        Path(name).write_text(f"first of {name}\nsecond\nthird is long\n" * 10)


def text(language: str) -> Text:
    lengths = {"x": 3, "y": 30}
    files = []
    for name, num_lines in lengths.items():
        path = Path(f"{name}.{language}")
        files.append(TextFile(path, str(path), num_lines, "", (Chunk(path, 0, path.stat().st_size),)))
    return Text(tuple(files))


def decide(
    config: LinePolicyConfig, is_train: bool = True, blocks: list[np.ndarray] | None = None, num_fields: int = 2
) -> Selection:
    texts = {language: text(language) for language in ("en", "de")[:num_fields]}
    return Survey(texts, config, is_train=is_train).run(blocks or [SIZES], Path("dropped.tsv"), Path("kept"))


def kept(selection: Selection) -> list[bool] | None:
    found: list[bool] | None = None if selection.kept is None else np.fromfile(selection.kept, np.bool_).tolist()
    return found


def test_pairs_with_an_empty_side_are_dropped_by_default() -> None:
    selection = decide(LinePolicyConfig())
    assert selection.dropped == {"empty": DroppedRecord(2, [2, 4])}
    assert selection.places == {"empty": ["x.en:2", "y.de:1"]}
    assert kept(selection) == [True, False, True, False]
    assert LinePolicyConfig().apply(SIZES).tolist() == [[3, 0, 9, 0], [3, 0, 5, 0]]
    assert Path("dropped.tsv").read_text() == "reason\tline\ttokens\nempty\tx.en:2\t1\nempty\ty.de:1\t1\n"


def test_blocks_are_counted_through() -> None:
    selection = decide(LinePolicyConfig(), blocks=[SIZES[:, :2], SIZES[:, 2:]])
    assert selection == decide(LinePolicyConfig())


def test_nothing_but_train_is_changed() -> None:
    for config in (LinePolicyConfig(max_tokens=4), LinePolicyConfig(long=LongLines.truncate, max_tokens=4)):
        assert decide(config, is_train=False) == Selection({}, {}, None)
    assert list(Path().glob("dropped*")) == []


def test_keeping_everything() -> None:
    assert decide(LinePolicyConfig(empty=EmptyLines.keep)) == Selection({}, {}, None)


def test_long_lines() -> None:
    config = LinePolicyConfig(empty=EmptyLines.keep, max_tokens=4)
    assert decide(config).dropped == {"long": DroppedRecord(1, [3])}
    assert config.apply(SIZES)[1].tolist() == [3, 2, 0, 1]
    config = LinePolicyConfig(long=LongLines.truncate, max_tokens=4)
    assert decide(config).dropped == {"truncated": DroppedRecord(1, [3]), "empty": DroppedRecord(2, [2, 4])}
    assert config.apply(SIZES).tolist() == [[3, 0, 4, 0], [3, 0, 4, 0]]


def test_truncating_alone_keeps_all_lines() -> None:
    selection = decide(LinePolicyConfig(empty=EmptyLines.keep, long=LongLines.truncate, max_tokens=4))
    assert selection.kept is None
    assert selection.dropped == {"truncated": DroppedRecord(1, [3])}


@pytest.mark.parametrize("is_train", [True, False])
def test_errors_name_file_and_line(is_train: bool) -> None:
    with pytest.raises(UserError, match=r"^x.en:2: no tokens, as in 1 lines; .*lines.empty=drop or keep"):
        decide(LinePolicyConfig(empty=EmptyLines.error), is_train)
    config = LinePolicyConfig(long=LongLines.error, max_tokens=4)
    with pytest.raises(
        UserError, match=r"^x.en:3: more than 4 tokens in 'third is long',.*lines.long=drop or truncate"
    ):
        decide(config, is_train)
    with pytest.raises(UserError, match=r"^x.en:3: more than 4 tokens .* as in 2 lines"):
        decide(config, is_train, blocks=[SIZES[:, :3], SIZES[:, 2:]])
    assert list(Path().glob("dropped*")) == []


def test_ten_lines_are_named_and_all_listed() -> None:
    selection = decide(LinePolicyConfig(), blocks=[np.ones((1, 25), np.int32)], num_fields=1)
    assert selection.dropped["empty"] == DroppedRecord(25, list(range(1, 11)))
    assert selection.places["empty"][2:4] == ["x.en:3", "y.en:1"]
    assert len(Path("dropped.tsv").read_text().splitlines()) == 26


def test_a_maximum_must_leave_room() -> None:
    with pytest.raises(ValueError, match="max_tokens=1"):
        LinePolicyConfig(max_tokens=1)
