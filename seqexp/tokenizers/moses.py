"""The tokenizer of Moses, in its Python port `sacremoses`."""

from dataclasses import dataclass
from pathlib import Path

import sacremoses

from seqexp.tokenizers.base import Tokenizer, TokenizerConfig


@dataclass
class MosesConfig(TokenizerConfig):
    """Moses tokens, by the rules of the field's language (English where Moses knows none)."""

    _target_: str = "seqexp.tokenizers.moses.MosesTokenizer"
    aggressive_dash_splits: bool = False
    """Split words at hyphens too; the hyphen becomes the token `@-@`."""
    escape: bool = True
    """Write `&`, `|`, `<`, `>`, quotes and brackets as entities (`&amp;`), as Moses' own tools do."""


class MosesTokenizer(Tokenizer):
    """Separates punctuation from words; decoding joins it again by rules, which is right for nearly all text."""

    def __init__(self, config: MosesConfig, *, directory: Path, language: str) -> None:
        super().__init__(config, directory=directory, language=language)
        self.config = config
        self.tokenizer = sacremoses.MosesTokenizer(lang=language)
        self.detokenizer = sacremoses.MosesDetokenizer(lang=language)

    def encode(self, line: str) -> str:
        dashes = self.config.aggressive_dash_splits
        tokens = self.tokenizer.tokenize(line, aggressive_dash_splits=dashes, escape=self.config.escape)
        return " ".join(" ".join(tokens).split())

    def decode(self, tokens: str) -> str:
        text: str = self.detokenizer.detokenize(tokens.split(), return_str=True, unescape=self.config.escape)
        return text
