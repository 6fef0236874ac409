from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqexp.corpora.parallel import ParallelCorpusConfig
from seqexp.data import merge, text
from seqexp.data.alignments import WordAlignments
from seqexp.data.manifest import Manifest
from seqexp.data.policies import LinePolicyConfig, LongLines
from seqexp.data.prepare import PrepareConfig, Prepared, prepare
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.characters import CharactersConfig

TRAIN = [("the dog runs", "der Hund rennt"), ("", "x"), ("a b c d e", "f g"), ("yes", "ja"), ("no", "nein nein")]
PAIRS = ["0-0 2-1", "", "4-1 0-0\t1-0", "", " 0-1 "]


@pytest.fixture(params=[1, 2])
def prepared_with(
    request: pytest.FixtureRequest,
    make_config: Callable[..., PrepareConfig],
    write_corpus: Callable[..., ParallelCorpusConfig],
    catalog: Mapping[str, Mapping[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Prepared]:
    """Prepares the pairs with word alignments, in small chunks and blocks."""
    monkeypatch.setattr(text, "MIN_CHUNK_BYTES", 8)
    monkeypatch.setattr(merge, "SEQUENCES_AT_ONCE", 2)

    def run(pairs: list[str], **options: Any) -> Prepared:
        corpus = write_corpus(train=TRAIN)
        corpus.alignments = "align"
        (tmp_path / "train.align").write_text("".join(f"{line}\n" for line in pairs))
        return prepare(make_config(corpus=corpus, num_workers=request.param, **options), catalog)

    return run


def as_lists(alignments: WordAlignments) -> list[list[list[int]]]:
    return [alignments[number].tolist() for number in range(len(alignments))]


def test_pairs_go_with_their_examples(prepared_with: Callable[..., Prepared]) -> None:
    prepared = prepared_with(PAIRS)
    alignments = WordAlignments.load(prepared.directory, "train")
    assert as_lists(alignments) == [[[0, 0], [2, 1]], [[4, 1], [0, 0], [1, 0]], [], [[0, 1]]]
    record = prepared.manifest.splits["train"].alignments
    assert record is not None
    assert record.num_pairs == 6
    assert prepared.manifest.splits["valid"].alignments is None
    assert {"train.alignments.bin", "train.alignments.idx"} <= {file.name for file in prepared.manifest.files()}
    assert Manifest.load(prepared.directory) == prepared.manifest
    prepared.manifest.verify(prepared.directory)
    assert "train: 6 pairs of aligned words" in prepared.summary()


def test_a_batch(prepared_with: Callable[..., Prepared]) -> None:
    prepared = prepared_with(PAIRS)
    alignments = WordAlignments.load(prepared.directory, "train", prepared.manifest)
    assert alignments.gather(np.array([3, 2, 0])).tolist() == [[0, 0, 1], [2, 0, 0], [2, 2, 1]]
    assert alignments.gather(np.array([2])).shape == (0, 3)
    swapped = WordAlignments.load(prepared.directory, "train", source="de")
    assert swapped.gather(np.array([3])).tolist() == [[0, 1, 0]]


def test_pairs_of_what_is_cut_off_go_with_it(prepared_with: Callable[..., Prepared]) -> None:
    policy = LinePolicyConfig(long=LongLines.truncate, max_tokens=3)
    alignments = WordAlignments.load(prepared_with(PAIRS, lines=policy).directory, "train")
    assert as_lists(alignments) == [[[0, 0]], [[0, 0], [1, 0]], [], [[0, 1]]]


def test_tokens_are_those_after_all_stages(prepared_with: Callable[..., Prepared]) -> None:
    pairs = ["11-13", "", "", "", ""]
    prepared = prepared_with(pairs, subword=CharactersConfig())
    assert as_lists(WordAlignments.load(prepared.directory, "train"))[0] == [[11, 13]]
    with pytest.raises(UserError, match=r"train.align:1: the pair 11-13 is out of range: .* source has 3 tokens"):
        prepared_with(pairs, overwrite=True)


@pytest.mark.parametrize(
    ("number", "line", "message"),
    [
        (3, "0-0 1-0", "train.align:4: the pair 1-0 is out of range: .* the source has 1 tokens, the target 1"),
        (4, "0-2", "train.align:5: the pair 0-2 is out of range: .* the source has 1 tokens, the target 2"),
        (1, "0-0", "train.align:2: the pair 0-0 is out of range: .* the source has 0 tokens, the target 1"),
        (2, "0-0 1", "train.align:3: must be pairs `i-j` with spaces between them, not '0-0 1'"),
        (4, "0--1", "train.align:5: must be pairs"),
        (4, "0-1-2", "train.align:5: must be pairs"),
        (0, "1 - 2", "train.align:1: must be pairs"),
        (0, "1234567890-0", "train.align:1: must be pairs"),
    ],
)
def test_mistakes_are_named_with_their_line(
    prepared_with: Callable[..., Prepared], tmp_path: Path, number: int, line: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        prepared_with([*PAIRS[:number], line, *PAIRS[number + 1 :]])
    assert not [path for path in tmp_path.iterdir() if "data" in path.name]


def test_as_many_lines_as_the_text(prepared_with: Callable[..., Prepared]) -> None:
    with pytest.raises(UserError, match=r"train.en has 5 lines, .*train.align has 4; line i of each"):
        prepared_with(PAIRS[:-1])


def test_data_without_any(make_config: Callable[..., PrepareConfig], catalog: Mapping[str, Mapping[str, str]]) -> None:
    directory = prepare(make_config(), catalog).directory
    assert "alignments" not in (directory / "manifest.json").read_text()
    for split in ("train", "missing"):
        with pytest.raises(UserError, match=rf"split '{split}' has no word alignments.*corpus.alignments="):
            WordAlignments.load(directory, split)
