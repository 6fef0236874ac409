from pathlib import Path
from typing import Any

import pytest

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.bert import BertConfig, BertTokenizer

LINES = ["The dogs run, the dog ran.", "Unknown words are unwordy!", "Ähnliche Wörter"] * 5
PIECES = ["[PAD]", "[UNK]", "the", "dog", "##s", "un", "##want", "##ed", ",", ".", "can", "'", "t", "a"]


def tokenizer(directory: Path, **options: Any) -> BertTokenizer:
    return BertTokenizer(BertConfig(**options), directory=directory, language="en")


def given(directory: Path, **options: Any) -> BertTokenizer:
    (directory / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    made = tokenizer(directory, vocabulary=str(directory / "vocab.txt"), **options)
    made.train([])
    return made


def test_the_longest_pieces_of_a_given_vocabulary(tmp_path: Path) -> None:
    made = given(tmp_path)
    assert made.encode("the dogs, unwanted.") == "the dog ##s , un ##want ##ed ."
    assert made.decode("the dog ##s , un ##want ##ed .") == "the dogs, unwanted."
    assert made.encode("The dogz [PAD]") == "[UNK] [UNK] [UNK] [UNK] [UNK]"
    assert given(tmp_path, lowercase=True).encode("The dógs") == "the dog ##s"


def test_learning_is_deterministic_and_keeps_all_characters(tmp_path: Path) -> None:
    contents = set()
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        made = tokenizer(tmp_path / name, vocabulary_size=60)
        made.train(iter(LINES))
        contents.add((tmp_path / name / "wordpiece.txt").read_bytes())
        assert len(list((tmp_path / name).iterdir())) == 1
    assert len(contents) == 1
    assert [made.decode(made.encode(line)) for line in LINES] == LINES
    assert 45 < len(contents.pop().decode().splitlines()) <= 60


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"subword.vocabulary_size=10 is too small: at least \d+"):
        tokenizer(tmp_path, vocabulary_size=10).train(LINES)
    with pytest.raises(UserError, match=r"subword.vocabulary=/nowhere cannot be read"):
        tokenizer(tmp_path, vocabulary="/nowhere").train([])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"wordpiece.txt: not a readable list of pieces"):
        tokenizer(tmp_path).encode("a")
    (tmp_path / "wordpiece.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"wordpiece.txt: it lacks the piece \[UNK\]"):
        tokenizer(tmp_path).encode("a")
    with pytest.raises(ValueError, match="vocabulary_size=1"):
        BertConfig(vocabulary_size=1)
