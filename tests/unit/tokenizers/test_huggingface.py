from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.huggingface import HuggingFaceConfig, HuggingFaceTokenizer

LINES = ["the dog runs in the park", "a dog and a cat ran"] * 5


def tokenizer(directory: Path, **options: Any) -> HuggingFaceTokenizer:
    config = HuggingFaceConfig(**{"vocabulary_size": 270, **options})
    return HuggingFaceTokenizer(config, directory=directory, language="en")


def given(directory: Path, tokenizer_of_library: Tokenizer) -> HuggingFaceTokenizer:
    tokenizer_of_library.save(str(directory / "given.json"))
    made = tokenizer(directory, tokenizer_json=str(directory / "given.json"))
    made.train([])
    return made


def test_byte_level_pieces_are_learnt(tmp_path: Path) -> None:
    contents = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made = tokenizer(tmp_path / name)
        made.train(iter(LINES))
        contents.add((tmp_path / name / "tokenizer.json").read_bytes())
    assert len(contents) == 1
    assert made.encode("the dog").split()[-1] == "Ġdog"
    assert made.decode("the Ġdog") == "the dog"


def test_a_given_tokenizer_with_a_prefix_decoder(tmp_path: Path) -> None:
    pieces = {"▁a": -1.0, "▁": -2.0, "a": -2.0, "b": -2.5, "▁ab": -1.5, "<": -3.0, "s": -3.0, ">": -3.0}
    library = Tokenizer(models.Unigram([("<unk>", 0.0), *pieces.items()], unk_id=0))
    library.normalizer = normalizers.NFKC()
    library.pre_tokenizer = pre_tokenizers.Metaspace()
    library.decoder = decoders.Metaspace()
    library.add_special_tokens(["<s>"])
    made = given(tmp_path, library)
    assert made.encode("a ab") == "▁a ▁ab"
    assert made.decode("▁a ▁ab") == "a ab"
    assert made.encode("a <s>") == "▁a ▁ < s >"


def test_white_space_within_pieces_is_written_visibly(tmp_path: Path) -> None:
    library = Tokenizer(models.BPE({"a": 0, " ": 1, "b": 2, "a ": 3}, [("a", " ")]))
    library.decoder = decoders.Fuse()
    made = given(tmp_path, library)
    assert made.encode("a b") == "a[U+0020] b"
    assert made.decode("a[U+0020] b") == "a b"
    assert made.encode("b b") == "b [U+0020] b"


def test_dropout_of_a_given_tokenizer_is_off(tmp_path: Path) -> None:
    library = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.5))
    made = given(tmp_path, library)
    assert made.encode_lines(["ab"] * 50) == ["ab"] * 50


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vocabulary_size=255"):
        HuggingFaceConfig(vocabulary_size=255)
    with pytest.raises(UserError, match=r"subword.tokenizer_json=/nowhere cannot be read"):
        tokenizer(tmp_path, tokenizer_json="/nowhere").train([])
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer.json: not a readable tokenizer.json"):
        tokenizer(tmp_path).encode("a")
