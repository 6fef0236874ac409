from pathlib import Path

import numpy as np
import pytest

from seqexp.data.manifest import DroppedRecord
from seqexp.data.policies import EmptyLines, LinePolicyConfig, LongLines, Selection, select
from seqexp.runtime.errors import UserError

PATHS = {"en": Path("x.en"), "de": Path("x.de")}
SIZES = {"en": np.array([3, 1, 9, 4], np.int32), "de": np.array([3, 2, 5, 1], np.int32)}


def decide(config: LinePolicyConfig, is_train: bool = True) -> Selection:
    return select(SIZES, PATHS, config, is_train=is_train)


def test_pairs_with_an_empty_side_are_dropped_by_default() -> None:
    selection = decide(LinePolicyConfig())
    assert selection.dropped == {"empty": DroppedRecord(2, [2, 4])}
    assert selection.sizes is not None
    assert selection.sizes["en"].tolist() == [3, 0, 9, 0]
    assert selection.sizes["de"].tolist() == [3, 0, 5, 0]
    kept = selection.kept()
    assert kept is not None
    assert kept.tolist() == [True, False, True, False]


def test_nothing_but_train_is_changed() -> None:
    for config in (LinePolicyConfig(max_tokens=4), LinePolicyConfig(long=LongLines.truncate, max_tokens=4)):
        assert decide(config, is_train=False) == Selection(None, {})


def test_keeping_everything() -> None:
    selection = decide(LinePolicyConfig(empty=EmptyLines.keep))
    assert selection == Selection(None, {})
    assert selection.kept() is None


def test_long_lines() -> None:
    dropped = decide(LinePolicyConfig(empty=EmptyLines.keep, max_tokens=4))
    assert dropped.dropped == {"long": DroppedRecord(1, [3])}
    assert dropped.sizes is not None
    assert dropped.sizes["de"].tolist() == [3, 2, 0, 1]
    cut = decide(LinePolicyConfig(long=LongLines.truncate, max_tokens=4))
    assert cut.dropped == {"truncated": DroppedRecord(1, [3]), "empty": DroppedRecord(2, [2, 4])}
    assert cut.sizes is not None
    assert cut.sizes["en"].tolist() == [3, 0, 4, 0]
    assert cut.sizes["de"].tolist() == [3, 0, 4, 0]


def test_truncating_alone_keeps_all_lines() -> None:
    selection = decide(LinePolicyConfig(empty=EmptyLines.keep, long=LongLines.truncate, max_tokens=4))
    assert selection.kept() is None
    assert selection.sizes is not None


@pytest.mark.parametrize("is_train", [True, False])
def test_errors_name_file_and_line(is_train: bool) -> None:
    with pytest.raises(UserError, match=r"x.en:2: no tokens, as in 1 lines of the file; .*lines.empty=drop or keep"):
        decide(LinePolicyConfig(empty=EmptyLines.error), is_train)
    with pytest.raises(UserError, match=r"x.en:3: more than 4 tokens.*lines.long=drop or truncate"):
        decide(LinePolicyConfig(long=LongLines.error, max_tokens=4), is_train)


def test_ten_lines_are_named() -> None:
    sizes = {"en": np.ones(25, np.int32)}
    dropped = select(sizes, {"en": Path("x")}, LinePolicyConfig(), is_train=True).dropped["empty"]
    assert dropped == DroppedRecord(25, list(range(1, 11)))


def test_a_maximum_must_leave_room() -> None:
    with pytest.raises(ValueError, match="max_tokens=1"):
        LinePolicyConfig(max_tokens=1)
