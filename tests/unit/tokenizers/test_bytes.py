from pathlib import Path

import pytest

from seqexp.tokenizers.bytes import BytesConfig, BytesTokenizer, from_bytes, to_bytes

TOKENIZER = BytesTokenizer(BytesConfig(), directory=Path(), language="en")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("ab c", "a b ▁ c"),
        ("é", "Ã ©"),
        ("€", "â Ƃ ¬"),
        ("\0", "Ā"),
        ("▁", "â Ɩ Ɓ"),
        ("\u00ad", "Â ƭ"),
    ],
)
def test_the_alphabet(text: str, tokens: str) -> None:
    assert TOKENIZER.encode(text) == tokens
    assert TOKENIZER.decode(tokens) == text


def test_every_byte_has_a_character_of_its_own() -> None:
    text = "".join(chr(number) for number in range(0x11000) if not (chr(number).isspace() or 0xD800 <= number < 0xE000))
    written = to_bytes(text)
    assert from_bytes(written) == text
    assert len(set(written)) == len(set(text.encode("utf-8")))
    assert not any(character.isspace() for character in written)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("Ã a ©", "a"),  # a sequence broken off, and a stray continuation
        ("â Ƃ â Ƃ ¬", "€"),
        ("Ã Ã © ▁ x", "é x"),
        ("漢 a", "a"),
        ("¬ Ƃ", ""),
    ],
)
def test_what_a_model_writes_wrongly_is_left_out(tokens: str, text: str) -> None:
    assert TOKENIZER.decode(tokens) == text
