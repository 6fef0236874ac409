from pathlib import Path

import pytest

from seqexp.data.summary import length_figures, load_summary, show
from seqexp.runtime.errors import UserError


def test_lengths() -> None:
    figures = length_figures({1: 1, 2: 1, 3: 94, 8: 3, 100: 1})
    assert figures == {
        "mean": 4.09,
        "median": 3,
        "95%": 3,
        "99%": 8,
        "longest": 100,
        "histogram": [[1, 1, 1], [2, 3, 95], [8, 15, 3], [64, 127, 1]],
    }
    assert length_figures({}) == {"mean": 0.0, "median": 0, "95%": 0, "99%": 0, "longest": 0, "histogram": []}


def test_on_screen() -> None:
    side = {"num_tokens": 12345, "unknown_rate": 0.0312, "lengths": length_figures({3: 9, 4: 1})}
    dropped = {
        "empty": {"count": 2, "first": ["a.en:1", "b.de:2"], "all": "dropped.train.tsv"},
        "truncated": {"count": 1234, "first": ["a.en:7"], "all": "dropped.train.tsv"},
    }
    split = {"num_examples": 1000, "fields": {"en": side}, "dropped": dropped, "num_pairs": 5}
    shown = show({"vocabularies": {"vocabulary.txt": 4000}, "splits": {"train": split}}, Path("data"))
    assert shown.splitlines() == [
        "split  field  sentences  tokens  unknown  mean  median  95%  99%  longest",
        "train  en         1,000  12,345    3.12%   3.1       3    4    4        4",
        "vocabulary vocabulary.txt: 4,000 tokens",
        "train: 5 pairs of aligned words",
        "train: 2 dropped, empty: a.en:1, b.de:2",
        "train: 1,234 truncated: a.en:7, ...; all in data/dropped.train.tsv",
    ]


@pytest.mark.parametrize("content", [None, b"{"])
def test_a_summary_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(UserError, match=r"summary.json: cannot be read"):
        load_summary(tmp_path)
