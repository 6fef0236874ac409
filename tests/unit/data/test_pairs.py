import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from seqexp.corpora.parallel import ParallelCorpusConfig
from seqexp.data.batching import BatchLimits, Order
from seqexp.data.manifest import Manifest
from seqexp.data.pairs import LongExamples, PairSplit
from seqexp.data.prepare import PrepareConfig, prepare
from seqexp.runtime.errors import UserError

PAIRS = [("a b", "c"), ("a b c d", "a b"), ("b", "a b c d e"), ("a", "b"), ("a b c", "a")]


@pytest.fixture
def directory(
    make_config: Callable[..., PrepareConfig],
    write_corpus: Callable[..., ParallelCorpusConfig],
    catalog: Mapping[str, Mapping[str, str]],
) -> Path:
    return prepare(make_config(corpus=write_corpus(train=PAIRS)), catalog).directory


@pytest.fixture
def split(directory: Path) -> PairSplit:
    return PairSplit.load(directory, "train")


def test_a_split(split: PairSplit) -> None:
    assert len(split) == 5
    assert split.source_sizes.tolist() == [3, 5, 2, 2, 4]
    assert split.target_sizes.tolist() == [2, 3, 6, 2, 2]
    assert split.source_lines() == [source for source, _ in PAIRS]
    assert split.target_lines() == [target for _, target in PAIRS]
    assert split.source_vocabulary == split.target_vocabulary
    assert split.source_vocabulary.decode(split.source[4].tolist()) == "a b c"


def test_the_other_direction(directory: Path) -> None:
    swapped = PairSplit.load(directory, "train", source="de", target="en", verify=True)
    assert swapped.source_sizes.tolist() == [2, 3, 6, 2, 2]
    assert swapped.target_lines() == [source for source, _ in PAIRS]


def test_nothing_is_too_long(split: PairSplit, caplog: pytest.LogCaptureFixture) -> None:
    for policy in LongExamples:
        assert split.limited(5, 6, policy) is split
        assert split.limited(None, None, policy) is split
    assert caplog.records == []


def test_long_pairs_are_dropped_loudly(split: PairSplit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        shorter = split.limited(4, 5, LongExamples.drop)
    assert shorter.numbers is not None
    assert shorter.numbers.tolist() == [0, 3, 4]
    assert len(shorter) == 3
    expected = "train: 2 of 5 examples (1, 2) are longer than 4 source or 5 target tokens, dropped"
    assert caplog.messages == [expected]
    shortest = shorter.limited(3, None, LongExamples.drop)
    assert shortest.numbers is not None
    assert shortest.numbers.tolist() == [0, 3]
    assert "(4) are longer" in caplog.messages[1]
    assert sorted(np.concatenate([*shortest.plan(BatchLimits(max_sentences=1))]).tolist()) == [0, 3]


def test_long_pairs_are_cut_loudly(split: PairSplit, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        cut = split.limited(4, 5, LongExamples.truncate)
    assert len(cut) == 5
    assert cut.source_sizes.tolist() == [3, 4, 2, 2, 4]
    assert cut.target_sizes.tolist() == [2, 3, 5, 2, 2]
    assert caplog.messages[0].endswith("truncated")
    assert cut.limited(4, 5, LongExamples.error) is cut


def test_long_pairs_are_an_error(split: PairSplit) -> None:
    with pytest.raises(UserError, match=r"2 of 5 examples \(1, 2\) are longer than 4 source or 5 target tokens"):
        split.limited(4, 5, LongExamples.error)
    with pytest.raises(UserError, match="none is left"):
        split.limited(1, 1, LongExamples.drop)


def test_ten_long_pairs_are_named(
    make_config: Callable[..., PrepareConfig],
    write_corpus: Callable[..., ParallelCorpusConfig],
    catalog: Mapping[str, Mapping[str, str]],
) -> None:
    corpus = write_corpus(train=[("a a a", "b")] * 12 + [("a", "b")])
    split = PairSplit.load(prepare(make_config(corpus=corpus), catalog).directory, "train")
    with pytest.raises(UserError, match=r"12 of 13 examples \(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\) are"):
        split.limited(3, None, LongExamples.error)


def test_a_plan(split: PairSplit) -> None:
    plan = split.plan(BatchLimits(max_tokens=8), order=Order.by_length)
    assert [plan[position].tolist() for position in range(len(plan))] == [[3], [2], [0, 4], [1]]


def test_what_cannot_be_loaded(directory: Path) -> None:
    with pytest.raises(UserError, match="no split 'nothing', only train, valid, test"):
        PairSplit.load(directory, "nothing")
    with pytest.raises(UserError, match="not a prepared data directory"):
        PairSplit.load(directory / "nothing", "train")


def test_stores_of_another_split_are_noticed(directory: Path) -> None:
    for suffix in ("bin", "idx"):
        (directory / f"valid.en.{suffix}").replace(directory / f"train.en.{suffix}")
    with pytest.raises(UserError, match=r"train.en: 2 sequences, the manifest says 5"):
        PairSplit.load(directory, "train")


def test_checksums_are_compared_when_asked(directory: Path) -> None:
    content = bytearray((directory / "train.de.bin").read_bytes())
    content[0] ^= 1
    (directory / "train.de.bin").write_bytes(content)
    manifest = Manifest.load(directory)
    PairSplit.load(directory, "train", manifest=manifest)
    with pytest.raises(UserError, match=r"train.de.bin: the content differs"):
        PairSplit.load(directory, "train", manifest=manifest, verify=True)
