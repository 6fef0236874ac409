from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seqexp.config.build import build
from seqexp.corpora.parallel import ParallelCorpus, ParallelCorpusConfig
from seqexp.runtime.errors import UserError


def corpus(directory: Path, **options: str) -> ParallelCorpus:
    config = ParallelCorpusConfig(source_lang="en", target_lang="de", train=str(directory / "train"), **options)
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
        "train": {"en": files / "train.en", "de": files / "train.de"},
        "valid": {"en": files / "dev.en", "de": files / "dev.de"},
    }
    assert list(corpus(files).splits(files)) == ["train"]


def test_a_missing_file_is_named_with_its_key(files: Path) -> None:
    with pytest.raises(UserError, match=rf"corpus.test={files}/test: there is no file {files}/test.de"):
        corpus(files, test=str(files / "test")).splits(files)


def test_languages_must_differ() -> None:
    with pytest.raises(ValueError, match="target_lang=en"):
        ParallelCorpusConfig(source_lang="en", target_lang="en", train="x")


def test_is_a_schema() -> None:
    assert OmegaConf.missing_keys(OmegaConf.structured(ParallelCorpusConfig)) == {"source_lang", "target_lang", "train"}
