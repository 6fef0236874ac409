import json
from pathlib import Path

import pytest

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.gpt2 import GPT2Config, GPT2Tokenizer

PIECES = {"l": 0, "o": 1, "w": 2, "Ġ": 3, "lo": 4, "low": 5, "Ġlow": 6, "Ã": 7, "¤": 8}
MERGES = "#version: 0.2\nl o\nlo w\nĠ low\n"


def tokenizer(directory: Path, pieces: object = None, merges: str = MERGES) -> GPT2Tokenizer:
    (directory / "given.json").write_text(json.dumps(pieces or PIECES), encoding="utf-8")
    (directory / "given.bpe").write_text(merges, encoding="utf-8")
    config = GPT2Config(encoder_json=str(directory / "given.json"), vocab_bpe=str(directory / "given.bpe"))
    made = GPT2Tokenizer(config, directory=directory, language="en")
    made.train([])
    return made


def test_numbers_and_text_again(tmp_path: Path) -> None:
    made = tokenizer(tmp_path)
    assert made.encode("low low ä") == "5 6 3 7 8"
    assert made.decode("5 6 3 7 8") == "low low ä"
    assert made.decode("5 <unk> 99 -1 6") == "low low"
    assert made.word_starts(["5", "6", "3", "7", "<unk>"]) == [False, True, True, False, False]


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"subword.encoder_json is needed"):
        GPT2Tokenizer(GPT2Config(), directory=tmp_path, language="en").inputs()
    with pytest.raises(UserError, match=r"subword.vocab_bpe is needed"):
        GPT2Tokenizer(GPT2Config(encoder_json="x"), directory=tmp_path, language="en").inputs()
    with pytest.raises(UserError, match=r"encoder.json and .*vocab.bpe do not go together"):
        tokenizer(tmp_path, merges="#version: 0.2\nl z\n").encode("low")
    with pytest.raises(UserError, match="do not go together"):
        tokenizer(tmp_path, pieces=[1, 2]).encode("low")
