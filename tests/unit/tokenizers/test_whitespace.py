from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.tokenizers.whitespace import WhitespaceConfig, WhitespaceTokenizer

TOKENIZER = WhitespaceTokenizer(WhitespaceConfig(), directory=Path(), language="en")


@settings(deadline=None)
@given(st.text())
def test_tokens_are_what_python_splits(text: str) -> None:
    encoded = TOKENIZER.encode(text)
    assert encoded.split(" ") == (text.split() or [""])
    assert TOKENIZER.decode(encoded) == encoded


def test_unicode_white_space_separates() -> None:
    assert TOKENIZER.encode(" a\u00a0b\u2028c\x85d\x1ce \r") == "a b c d e"


def test_needs_no_files_and_is_an_identity() -> None:
    assert TOKENIZER.files() == []
    assert TOKENIZER.is_identity
    assert TOKENIZER.encode_lines(["a  b", ""]) == ["a b", ""]
