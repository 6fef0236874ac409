"""Text whose tokens are already separated by white space."""

from collections.abc import Sequence
from dataclasses import dataclass

from seqexp.tokenizers.base import Tokenizer, TokenizerConfig


@dataclass
class WhitespaceConfig(TokenizerConfig):
    """Takes tokens as they are."""

    _target_: str = "seqexp.tokenizers.whitespace.WhitespaceTokenizer"


class WhitespaceTokenizer(Tokenizer):
    """Splits at Unicode white space and nothing else."""

    is_identity = True

    def encode(self, line: str) -> str:
        return " ".join(line.split())

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        return [True] * len(tokens)

    def decode(self, tokens: str) -> str:
        return tokens
