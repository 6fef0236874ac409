from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.sampling import SamplingConfig
from seqexp.tokenizers.subword_nmt import SubwordNMTConfig, SubwordNMTTokenizer

LINES = ["low lower lowest", "new newer newest wide wider widest"] * 5


def tokenizer(directory: Path, **options: object) -> SubwordNMTTokenizer:
    config = SubwordNMTConfig(**{"num_operations": 10, **options})  # type: ignore[arg-type]
    return SubwordNMTTokenizer(config, directory=directory, language="en")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SubwordNMTTokenizer:
    made = tokenizer(tmp_path_factory.mktemp("codes"))
    made.train(LINES)
    return made


def test_pieces_and_text_again(trained: SubwordNMTTokenizer) -> None:
    tokens = trained.encode("lowest widest xyz")
    assert tokens.endswith("x@@ y@@ z")
    assert trained.decode(tokens) == "lowest widest xyz"
    assert trained.decode("low@@ est wi@@") == "lowest wi"


def test_training_is_quiet_and_deterministic(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    contents = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tokenizer(tmp_path / name).train(iter(LINES))
        contents.add((tmp_path / name / "codes.bpe").read_bytes())
    assert len(contents) == 1
    assert capfd.readouterr() == ("", "")


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_any_text_is_encoded_on_one_line(trained: SubwordNMTTokenizer, text: str) -> None:
    encoded = trained.encode(text)
    assert encoded.split() == (encoded.split(" ") if encoded else [])
    if "@" not in text:
        assert trained.decode(encoded) == " ".join(text.split())


def test_existing_codes_are_copied(trained: SubwordNMTTokenizer, tmp_path: Path) -> None:
    codes = trained.directory / trained.name
    made = tokenizer(tmp_path, codes=str(codes), joint=False)
    assert made.inputs() == [codes]
    made.train([])
    assert (tmp_path / "codes.en.bpe").read_bytes() == codes.read_bytes()
    assert made.config.portable().codes is None


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no pair of characters"):
        tokenizer(tmp_path).train(["", "a"])
    with pytest.raises(UserError, match=r"subword.codes=/nowhere cannot be read"):
        tokenizer(tmp_path, codes="/nowhere").train([])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"codes.bpe: not a readable file of merge operations"):
        tokenizer(tmp_path).encode("a")
    (tmp_path / "codes.bpe").write_text("#version: 0.2\nnot a merge of two\n")
    with pytest.raises(UserError, match=r"codes.bpe: not a readable file of merge operations"):
        tokenizer(tmp_path).encode("a")
    with pytest.raises(ValueError, match="num_operations"):
        SubwordNMTConfig(num_operations=0)


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("lowestnwid "), max_size=50))
def test_the_limit_of_no_dropout_is_the_library(trained: SubwordNMTTokenizer, text: str) -> None:
    sample = trained.sampler(SamplingConfig(dropout=1e-300))
    assert sample is not None
    assert sample(text, Random(1)) == trained.encode(text)


def test_dropout(trained: SubwordNMTTokenizer) -> None:
    assert trained.sampler(SamplingConfig(alpha=0.1)) is None
    sample = trained.sampler(SamplingConfig(dropout=0.3))
    assert sample is not None
    found = [sample("lowest newest", Random(number)) for number in range(30)]
    assert found == [sample("lowest newest", Random(number)) for number in range(30)]
    assert len(set(found)) > 5
    assert {trained.decode(tokens) for tokens in found} == {"lowest newest"}


def test_only_pieces_of_the_vocabulary_are_drawn(trained: SubwordNMTTokenizer) -> None:
    known = {*trained.encode("lowest newest").split(), *(f"{letter}@@" for letter in "lowestn"), "t"}
    sample = trained.sampler(SamplingConfig(dropout=0.5), known)
    assert sample is not None
    found = {sample("lowest newest", Random(number)) for number in range(30)}
    assert len(found) > 1
    assert {piece for tokens in found for piece in tokens.split()} <= known


def test_merges_of_the_first_format(tmp_path: Path) -> None:
    """Without a version the end of a word is a symbol of its own."""
    (tmp_path / "given").write_text("l o\nlo w\nlow </w>\nt </w>\n")
    made = tokenizer(tmp_path, codes=str(tmp_path / "given"))
    made.train([])
    sample = made.sampler(SamplingConfig(dropout=1e-300))
    assert sample is not None
    for text in ("low lowest", "w t"):
        assert sample(text, Random(1)) == made.encode(text)
    dropped = made.sampler(SamplingConfig(dropout=1.0))
    assert dropped is not None
    assert dropped("low", Random(1)) == "l@@ o@@ w"
