"""How text becomes words, for scorers that count them."""

import unicodedata
from collections.abc import Callable

from sacrebleu.metrics import bleu

from seqexp.config.base import require


def require_tokenizer(name: str) -> None:
    """
    Raises:
        OptionError: sacrebleu has no tokenizer of this name.
    """
    right = f"use one of {', '.join(sorted(bleu.BLEU.TOKENIZERS))}"
    require(name in bleu.BLEU.TOKENIZERS, "tokenize", name, right)


def splitter(
    tokenize: str, *, lowercase: bool = False, keep_punctuation: bool = True, characters: bool = False
) -> Callable[[str], list[str]]:
    """What splits a line: first sacrebleu's tokenizer, then, as asked for, without tokens of nothing but punctuation
    (Unicode's categories P), as characters (a space is one too), in lower case."""
    tokenizer = bleu.BLEU(tokenize=tokenize).tokenizer

    def split(line: str) -> list[str]:
        words = str(tokenizer(line)).split()
        if not keep_punctuation:
            words = [word for word in words if not all(unicodedata.category(char)[0] == "P" for char in word)]
        if characters:
            words = list(" ".join(words))
        return [word.lower() for word in words] if lowercase else words

    return split
