"""Characters as tokens."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seqexp.tokenizers.base import Tokenizer, TokenizerConfig

SPACE = "▁"
ESCAPED = SPACE + SPACE
"""Stands for a "▁" of the text itself, so that decoding is exact."""


@dataclass
class CharactersConfig(TokenizerConfig):
    """Every character is a token; a space is "▁"."""

    _target_: str = "seqexp.tokenizers.characters.CharactersTokenizer"


class CharactersTokenizer(Tokenizer):
    """Splits text into characters. Exact inverse, apart from runs of white space, which become one space."""

    def encode(self, line: str) -> str:
        characters = " ".join(" ".join(line.split()).replace(" ", "\n"))
        return characters.replace(SPACE, ESCAPED).replace("\n", SPACE)

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        return [token == SPACE for token in tokens]

    def decode(self, tokens: str) -> str:
        return re.sub(r"▁▁|▁| ", lambda match: {ESCAPED: SPACE, SPACE: " ", " ": ""}[match[0]], tokens)
