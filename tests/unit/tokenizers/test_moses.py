from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.tokenizers.moses import MosesConfig, MosesTokenizer


def moses(language: str = "en", **options: bool) -> MosesTokenizer:
    return MosesTokenizer(MosesConfig(**options), directory=Path(), language=language)


@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("en", "Hello, world! It's me.", "Hello , world ! It &apos;s me ."),
        ("de", "Er sagte: „Nein“ (z. B. am 3. Mai).", "Er sagte : „ Nein “ ( z. B. am 3. Mai ) ."),
        ("xx", "A dog runs.", "A dog runs ."),
        ("en", "", ""),
        ("en", " \u2028 ", ""),
    ],
)
def test_tokens_and_text_again(language: str, text: str, tokens: str) -> None:
    tokenizer = moses(language)
    assert tokenizer.encode(text) == tokens
    assert tokenizer.decode(tokens) == text.strip().strip("\u2028")


def test_options() -> None:
    assert moses(escape=False).encode("a & b") == "a & b"
    assert moses().encode("a & b") == "a &amp; b"
    dashes = moses(aggressive_dash_splits=True)
    assert dashes.encode("well-known") == "well @-@ known"
    assert dashes.decode("well @-@ known") == "well-known"
    assert moses().encode("well-known") == "well-known"


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_gives_tokens_on_one_line(text: str) -> None:
    encoded = moses().encode(text)
    assert encoded == " ".join(encoded.split())
