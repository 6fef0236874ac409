"""Bytes of UTF-8 as tokens, each written as one printable character as fairseq does."""

from collections.abc import Sequence
from dataclasses import dataclass

from seqexp.tokenizers.base import Tokenizer, TokenizerConfig

SPACE = "▁"
_PRINTABLE = {*range(0x20, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_CHARACTERS = {byte: chr(byte if byte in _PRINTABLE else 256 + byte) for byte in range(256)}
_BYTES = {character: byte for byte, character in _CHARACTERS.items()}
_FROM_LATIN_1 = str.maketrans({chr(byte): character for byte, character in _CHARACTERS.items()})


def to_bytes(text: str) -> str:
    """A character for each byte of the text: that of Latin-1 where it is printable, otherwise 256 places further on.
    White space becomes single spaces, which stay spaces."""
    return " ".join(text.split()).encode("utf-8").decode("latin-1").translate(_FROM_LATIN_1)


def from_bytes(characters: str) -> str:
    """The inverse of `to_bytes`. Bytes that are no UTF-8 are left out.

    The most characters that can be made of the bytes remain, since UTF-8 sequences never overlap.
    """
    return bytes(_BYTES[character] for character in characters if character in _BYTES).decode("utf-8", "ignore")


@dataclass
class BytesConfig(TokenizerConfig):
    """Every byte of the text's UTF-8 form is a token, shown as a printable character; a space is "▁"."""

    _target_: str = "seqexp.tokenizers.bytes.BytesTokenizer"


class BytesTokenizer(Tokenizer):
    """Splits text into bytes. Exact inverse, apart from runs of white space, which become one space."""

    def encode(self, line: str) -> str:
        return " ".join(to_bytes(line).replace(" ", SPACE))

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        return [token == SPACE for token in tokens]

    def decode(self, tokens: str) -> str:
        return from_bytes(tokens.replace(" ", "").replace(SPACE, " "))
