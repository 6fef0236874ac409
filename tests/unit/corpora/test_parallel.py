from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from seqexp.config.build import build
from seqexp.corpora.parallel import ParallelCorpus, ParallelCorpusConfig
from seqexp.runtime.errors import UserError


def corpus(directory: Path, **options: Any) -> ParallelCorpus:
    options.setdefault("train", str(directory / "train"))
    config = ParallelCorpusConfig(source_lang="en", target_lang="de", **options)
    made: ParallelCorpus = build(config)
    return made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("train.en", "train.de", "dev.en", "dev.de", "test.en"):
        (tmp_path / name).touch()
    return tmp_path


def test_splits_that_are_given(files: Path) -> None:
    made = corpus(files, valid=str(files / "dev"))
    assert made.fields() == ["en", "de"]
    assert made.splits(files) == {
        "train": {"en": [files / "train.en"], "de": [files / "train.de"]},
        "valid": {"en": [files / "dev.en"], "de": [files / "dev.de"]},
    }
    assert list(corpus(files).splits(files)) == ["train"]


def test_a_missing_file_is_named_with_its_key(files: Path) -> None:
    with pytest.raises(UserError, match=rf"corpus: split test: there is no file {files}/test.de"):
        corpus(files, test=str(files / "test")).splits(files)
    (files / "test.de").mkdir()
    with pytest.raises(UserError, match=rf"corpus: split test: {files}/test.de is a directory"):
        corpus(files, test=str(files / "test")).splits(files)


def test_several_sets(files: Path) -> None:
    train, dev = str(files / "train"), str(files / "dev")
    made = corpus(files, train=[train, dev], valid=[dev, train], test={"news": dev, "ted-2": train}).splits(files)
    assert list(made) == ["train", "valid", "valid1", "news", "ted-2"]
    assert made["train"] == {"en": [files / "train.en", files / "dev.en"], "de": [files / "train.de", files / "dev.de"]}
    assert made["valid1"]["en"] == [files / "train.en"]
    assert list(corpus(files, train=None, test=[dev]).splits(files)) == ["test"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": 3}, "train=3 is not valid: a prefix or a list of them"),
        ({"valid": []}, "valid="),
        ({"valid": {"a b": "x"}}, "the name 'a b' must be letters, digits, - and _"),
        ({"valid": {"../x": "x"}}, "the name '../x' must be"),
        ({"valid": {"a": ["x"]}}, "valid.a="),
        ({"valid": "x", "test": {"valid": "x"}}, "the name valid is taken"),
        ({"test": {"train": "x"}}, "the name train is taken"),
        ({"alignments": "de"}, "alignments=de is not valid: an ending other than the languages"),
    ],
)
def test_sets_that_are_refused(files: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corpus(files, **options)


def test_alignments(files: Path) -> None:
    options = {"valid": str(files / "dev"), "alignments": "align"}
    with pytest.raises(UserError, match=r"split train: there is no file .*train.align"):
        corpus(files, **options).alignments()
    (files / "train.align").touch()
    assert corpus(files, **options).alignments() == {"train": [files / "train.align"]}
    (files / "dev.align").touch()
    assert corpus(files, **options).alignments() == {"train": [files / "train.align"], "valid": [files / "dev.align"]}
    assert corpus(files).alignments() == {}


def test_languages_must_differ() -> None:
    with pytest.raises(ValueError, match="target_lang=en"):
        ParallelCorpusConfig(source_lang="en", target_lang="en", train="x")


def test_is_a_schema() -> None:
    assert OmegaConf.missing_keys(OmegaConf.structured(ParallelCorpusConfig)) == {"source_lang", "target_lang", "train"}
