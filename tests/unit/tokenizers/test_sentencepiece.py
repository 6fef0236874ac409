from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.sentencepiece import ModelType, SentencePieceConfig, SentencePieceTokenizer

LINES = ["the dog runs in the park", "a dog and a cat ran", "the cat sleeps in the house", "dogs sleep, cats run."] * 5
AWKWARD = [
    "",
    "   ",
    "<s>",
    "</s> <unk> <pad>",
    "▁",
    "▁▁ a ▁",
    "\x01\x02\x1c",
    "a\u2028b",
    "a\0b",
    "\0",
    "x" * 20000,
    "漢字<s>漢",
    "\ufeffdog",
    "a\u00a8b",
    "\u200b",
    "\U0010ffff\ue000",
    "dog\r",
]


def tokenizer(directory: Path, **options: object) -> SentencePieceTokenizer:
    config = SentencePieceConfig(**{"vocabulary_size": 28, **options})  # type: ignore[arg-type]
    return SentencePieceTokenizer(config, directory=directory, language="en")


@pytest.fixture(scope="module", params=list(ModelType))
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SentencePieceTokenizer:
    made = tokenizer(tmp_path_factory.mktemp("model"), model_type=request.param)
    made.train(LINES)
    return made


def test_decoding_restores_text(trained: SentencePieceTokenizer) -> None:
    for line in LINES:
        tokens = trained.encode(line)
        assert tokens.startswith("▁")
        assert trained.decode(tokens) == line


def test_many_lines_are_as_one_by_one(trained: SentencePieceTokenizer) -> None:
    lines = LINES[:4] + AWKWARD
    assert trained.encode_lines(lines) == [trained.encode(line) for line in lines]


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text_is_encoded_on_one_line(trained: SentencePieceTokenizer, text: str) -> None:
    encoded = trained.encode(text)
    assert encoded.split() == (encoded.split(" ") if encoded else [])
    trained.decode(encoded)


def test_text_that_spells_special_pieces_stays_text(trained: SentencePieceTokenizer) -> None:
    for text in ("<s>", "</s> <unk> <pad>", "漢字<s>漢"):
        assert trained.decode(trained.encode(text)) == text
        assert not {"<s>", "</s>"} & set(trained.encode(text).split())


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_encoded_on_one_line(trained: SentencePieceTokenizer, text: str) -> None:
    encoded = trained.encode(text)
    assert encoded.split() == (encoded.split(" ") if encoded else [])


def test_training_is_deterministic(tmp_path: Path) -> None:
    contents = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tokenizer(tmp_path / name).train(iter(LINES))
        contents.add((tmp_path / name / "sentencepiece.model").read_bytes())
    assert len(contents) == 1


def test_byte_fallback_restores_unknown_characters(tmp_path: Path) -> None:
    made = tokenizer(tmp_path, byte_fallback=True, vocabulary_size=285)
    made.train(LINES)
    encoded = made.encode("dog 漢")
    assert "<0xE6>" in encoded
    assert made.decode(encoded) == "dog 漢"


def test_an_existing_model_is_copied_and_its_path_forgotten(trained: SentencePieceTokenizer, tmp_path: Path) -> None:
    model = trained.directory / trained.name
    made = tokenizer(tmp_path, model=str(model))
    assert made.inputs() == [model]
    made.train([])
    assert (tmp_path / "sentencepiece.model").read_bytes() == model.read_bytes()
    assert made.encode(LINES[0]) == trained.encode(LINES[0])
    assert made.config.portable().model is None


def test_names_of_files(tmp_path: Path) -> None:
    assert tokenizer(tmp_path).files() == ["sentencepiece.model"]
    assert tokenizer(tmp_path, joint=False).files() == ["sentencepiece.en.model"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary_size": 5000}, r"subword.vocabulary_size=5000 is too large for this text: at most \d+"),
        ({"vocabulary_size": 5000, "model_type": ModelType.bpe}, r"vocabulary_size=5000 is too large.*at most \d+"),
        ({"vocabulary_size": 5}, r"subword.vocabulary_size=5 is too small: at least 22, or lower"),
        ({"model": "/nowhere/x.model"}, "subword.model=/nowhere/x.model cannot be read"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        tokenizer(tmp_path, **options).train(LINES)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_empty_text_cannot_be_learnt_from(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to learn subwords from"):
        tokenizer(tmp_path).train([])


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_a_missing_or_broken_model_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "sentencepiece.model").write_bytes(content)
    with pytest.raises(UserError, match=r"sentencepiece.model: not a readable SentencePiece model"):
        tokenizer(tmp_path).encode("a")


@pytest.mark.parametrize("options", [{"vocabulary_size": 3}, {"character_coverage": 0.0}, {"character_coverage": 1.1}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SentencePieceConfig(**options)  # type: ignore[arg-type]
