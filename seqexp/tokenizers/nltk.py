"""The word tokenizer of NLTK (https://www.nltk.org)."""

from dataclasses import dataclass
from pathlib import Path

from seqexp.runtime.extras import import_extra
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig


@dataclass
class NLTKConfig(TokenizerConfig):
    """Words as in the Penn Treebank, by NLTK's rules for English; other languages only get punctuation split off."""

    _target_: str = "seqexp.tokenizers.nltk.NLTKTokenizer"


class NLTKTokenizer(Tokenizer):
    """Separates punctuation and clitics ("ca n't") from words; a line is taken as one sentence.

    Decoding joins them by rules, and is no exact inverse: kinds of quotation marks and spaces around dashes are lost.
    Needs the extra `nltk`, and none of NLTK's data.
    """

    def __init__(self, config: NLTKConfig, *, directory: Path, language: str) -> None:
        super().__init__(config, directory=directory, language=language)
        self.tokenizer = import_extra("nltk.tokenize", "nltk").NLTKWordTokenizer()
        self.detokenizer = import_extra("nltk.tokenize.treebank", "nltk").TreebankWordDetokenizer()

    def encode(self, line: str) -> str:
        return " ".join(" ".join(self.tokenizer.tokenize(line)).split())

    def decode(self, tokens: str) -> str:
        text: str = self.detokenizer.detokenize(tokens.split())
        return text
