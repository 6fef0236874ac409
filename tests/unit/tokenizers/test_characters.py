from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.tokenizers.characters import CharactersConfig, CharactersTokenizer

TOKENIZER = CharactersTokenizer(CharactersConfig(), directory=Path(), language="en")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ab c", "a b ▁ c"),
        ("", ""),
        ("   ", ""),
        ("▁", "▁▁"),
        ("a ▁▁ b", "a ▁ ▁▁ ▁▁ ▁ b"),
        ("ä\u2028ö", "ä ▁ ö"),
        ("</s>", "< / s >"),
        ("a\0b", "a \0 b"),
    ],
)
def test_examples(text: str, tokens: str) -> None:
    assert TOKENIZER.encode(text) == tokens


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("▁ a\n")))
def test_decoding_restores_text_apart_from_runs_of_white_space(text: str) -> None:
    encoded = TOKENIZER.encode(text)
    assert TOKENIZER.decode(encoded) == " ".join(text.split())
    assert encoded.split() == (encoded.split(" ") if encoded else [])
