"""Epochs with subwords of their own, and directories that keep the raw text only."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from seqexp.corpora.parallel import ParallelCorpusConfig
from seqexp.data import encoding, text
from seqexp.data.manifest import Manifest
from seqexp.data.pairs import PairSamplingConfig, PairSplit, Sides
from seqexp.data.policies import LinePolicyConfig, LongLines
from seqexp.data.prepare import PrepareConfig, prepare
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.characters import CharactersConfig
from seqexp.tokenizers.moses import MosesConfig
from seqexp.tokenizers.sentencepiece import ModelType, SentencePieceConfig
from seqexp.tokenizers.whitespace import WhitespaceConfig

Catalog = Mapping[str, Mapping[str, str]]
Make = Callable[..., Path]
ALPHA = PairSamplingConfig(alpha=0.1)


@pytest.fixture(autouse=True)
def scratch_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"seqexp-{os.getuid()}"


@pytest.fixture
def make(make_config: Callable[..., PrepareConfig], catalog: Catalog, tmp_path: Path) -> Make:
    """Prepare the standard corpus with SentencePiece, other options as given."""

    def made(**options: Any) -> Path:
        defaults = {"tokenizer": MosesConfig(), "subword": SentencePieceConfig(vocabulary_size=26)}
        return prepare(make_config(**{**defaults, **options}), catalog).directory

    return made


def load(directory: Path, catalog: Catalog, split: str = "train") -> PairSplit:
    return PairSplit.load(directory, split, catalog=catalog)


def drawn(split: PairSplit, sampling: PairSamplingConfig = ALPHA, **options: Any) -> PairSplit:
    defaults = {"seed": 1, "epoch": 0, "max_source_size": None, "max_target_size": None}
    return split.drawn(sampling, **{**defaults, **options})


def content(split: PairSplit) -> list[tuple[list[int], list[int]]]:
    return [(split.source[n].tolist(), split.target[n].tolist()) for n in range(len(split.source))]


def test_an_epoch_is_a_function_of_seed_and_number(make: Make, catalog: Catalog) -> None:
    split = load(make(), catalog)
    first = content(drawn(split))
    assert content(drawn(split)) == first
    others = [content(drawn(split, seed=2)), content(drawn(split, epoch=1)), content(split)]
    assert all(other != first for other in others)
    assert first[0] != first[3] or first[1] != first[4] or first[2] != first[5]  # the same text on other lines


def test_every_epoch_is_the_same_text(make: Make, catalog: Catalog) -> None:
    split = drawn(load(make(tokenizer=WhitespaceConfig()), catalog))
    assert split.target_vocabulary.unk not in split.target.tokens
    for number in range(len(split)):
        pieces = split.target_vocabulary.decode(split.target[number].tolist())
        words = pieces.replace(" ", "").replace("▁", " ").strip()
        assert words == split.target_lines()[number]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_pieces_of_work_and_processes_change_nothing(
    make: Make, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, num_workers: int
) -> None:
    split = load(make(), catalog)
    expected = content(drawn(split))
    monkeypatch.setattr(text, "MIN_CHUNK_BYTES", 1)
    monkeypatch.setattr(text, "BLOCK_BYTES", 20)
    monkeypatch.setattr(text, "MAX_CHUNK_BYTES", 30)
    assert content(drawn(split, num_workers=num_workers)) == expected


def test_one_side_only(make: Make, catalog: Catalog) -> None:
    split = load(make(), catalog)
    both, plain = content(drawn(split)), content(split)
    source = content(drawn(split, PairSamplingConfig(alpha=0.1, sides=Sides.source)))
    target = content(drawn(split, PairSamplingConfig(alpha=0.1, sides=Sides.target)))
    assert source == [(drawn_pair[0], plain_pair[1]) for drawn_pair, plain_pair in zip(both, plain, strict=True)]
    assert target == [(plain_pair[0], drawn_pair[1]) for drawn_pair, plain_pair in zip(both, plain, strict=True)]


def test_what_would_be_too_long_is_not_drawn(make: Make, catalog: Catalog) -> None:
    split = load(make(), catalog)
    free, plain = content(drawn(split)), content(split)
    limit = int(split.source.sizes.max()) - 1
    limited = content(drawn(split, max_source_size=limit))
    kept = [a if max(len(a), len(b)) <= limit else b for (a, _), (b, _) in zip(free, plain, strict=True)]
    assert [source for source, _ in limited] == kept
    assert kept != [source for source, _ in free]
    assert [target for _, target in limited] == [target for _, target in free]


def test_examples_that_were_cut_stay_within_their_size(make: Make, catalog: Catalog) -> None:
    directory = make(lines=LinePolicyConfig(long=LongLines.truncate, max_tokens=6))
    split = drawn(load(directory, catalog))
    assert int(max(split.source.sizes.max(), split.target.sizes.max())) == 6
    assert all(tokens[-1] == split.source_vocabulary.eos for pair in content(split) for tokens in pair)


def test_temporary_files_go_with_the_epoch(make: Make, catalog: Catalog, scratch_root: Path) -> None:
    split = load(make(), catalog)
    epoch = drawn(split)
    assert len([path for path in scratch_root.iterdir() if path.is_dir()]) == 2
    del epoch
    assert [path for path in scratch_root.iterdir() if path.is_dir()] == []


def test_bpe_dropout(make: Make, catalog: Catalog) -> None:
    split = load(make(subword=SentencePieceConfig(vocabulary_size=30, model_type=ModelType.bpe)), catalog)
    sampling = PairSamplingConfig(dropout=0.5)
    split.require_sampling(sampling)
    epoch = drawn(split, sampling)
    assert epoch.source.num_tokens > split.source.num_tokens
    assert split.source_vocabulary.unk not in epoch.source.tokens  # nothing that the vocabulary lacks is drawn


def test_draws_that_change_nothing_are_told(make: Make, catalog: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    directory = make(subword=SentencePieceConfig(vocabulary_size=60, model_type=ModelType.bpe))
    split = load(directory, catalog)
    with caplog.at_level("WARNING"):
        drawn(split, PairSamplingConfig(dropout=0.0001, sides=Sides.source))
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "task.sampling changes nothing in raw/train.en" in warning


@pytest.mark.parametrize(
    ("subword", "sampling", "message"),
    [
        (
            CharactersConfig(),
            ALPHA,
            r"task.sampling.alpha=0.1: .* \(MosesTokenizer and CharactersTokenizer\) cannot draw",
        ),
        (
            SentencePieceConfig(vocabulary_size=26),
            PairSamplingConfig(dropout=0.1),
            r"task.sampling.dropout=0.1: .*cannot",
        ),
    ],
)
def test_stages_that_cannot_draw(
    make: Make, catalog: Catalog, subword: Any, sampling: PairSamplingConfig, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        load(make(subword=subword), catalog).require_sampling(sampling)
    assert "\n" not in str(caught.value)


# Directories without stores


def test_a_directory_of_raw_text_gives_the_same_indices(
    make: Make, catalog: Catalog, tmp_path: Path, write_corpus: Callable[..., ParallelCorpusConfig]
) -> None:
    corpus = write_corpus(
        train=[("the dog runs", "der Hund rennt"), ("", "nichts"), ("the cat runs .", "die Katze")] * 4
    )
    stored = make(corpus=corpus)
    lean = make(corpus=corpus, destination=str(tmp_path / "lean"), stores=False)
    assert not [*lean.glob("*.bin"), *lean.glob("*.idx")]
    manifest = Manifest.load(lean)
    manifest.verify(lean)
    assert manifest.splits["train"].num_examples == 8
    for split in manifest.splits:
        ours, theirs = load(lean, catalog, split), load(stored, catalog, split)
        assert content(ours) == content(theirs)
        assert ours.source.tokens.dtype == theirs.source.tokens.dtype
        assert content(drawn(ours)) == content(drawn(theirs))


def test_text_that_changed_is_refused(make: Make, catalog: Catalog) -> None:
    lean = make(stores=False)
    raw = lean / "raw/train.en"
    raw.write_bytes(raw.read_bytes().replace(b"dog", b"fog"))
    with pytest.raises(UserError, match=r"raw/train.en: the content differs"):
        load(lean, catalog)


def test_stages_that_give_other_tokens_than_when_prepared_are_noticed(
    make: Make, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    lean = make(stores=False)
    monkeypatch.setattr("seqexp.tokenizers.moses.MosesTokenizer.encode", lambda self, line: line + " more")
    with pytest.raises(
        UserError, match=r"12 lines and \d+ tokens, the manifest says 12 and \d+: prepare the data again"
    ):
        load(lean, catalog)


def test_lines_cannot_be_cut_without_stores(make_config: Callable[..., PrepareConfig]) -> None:
    with pytest.raises(ValueError, match=r"lines.long=truncate is not valid: with stores=false"):
        make_config(stores=False, lines=LinePolicyConfig(long=LongLines.truncate, max_tokens=5))


def test_a_full_disk_is_told_in_one_line(make: Make, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    split = load(make(), catalog)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoding.TokenStoreWriter, "write", full)
    with pytest.raises(UserError, match=r"No space left on device; set TMPDIR to a folder with more room"):
        drawn(split)
