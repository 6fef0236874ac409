from pathlib import Path

import pytest

from seqexp.config.build import build
from seqexp.corpora.text import TextCorpusConfig
from seqexp.runtime.errors import UserError


def test_a_file_for_each_split(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in paths:
        path.touch()
    corpus = build(TextCorpusConfig(language="en", train=[str(path) for path in paths], test={"news": str(paths[0])}))
    assert corpus.kind == "text"
    assert corpus.fields() == ["en"]
    assert corpus.splits(tmp_path) == {"train": {"en": paths}, "news": {"en": paths[:1]}}


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"corpus: split train: there is no file {tmp_path}/a.txt"):
        build(TextCorpusConfig(language="en", train=str(tmp_path / "a.txt"))).splits(tmp_path)


def test_a_name_twice() -> None:
    with pytest.raises(ValueError, match="the name valid is taken"):
        TextCorpusConfig(language="en", train="a", valid="b", test={"valid": "c"})
