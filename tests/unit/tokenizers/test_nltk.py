from pathlib import Path

import pytest

from seqexp.tokenizers.nltk import NLTKConfig, NLTKTokenizer

TOKENIZER = NLTKTokenizer(NLTKConfig(), directory=Path(), language="en")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Hello, world! It's me.", "Hello , world ! It 's me ."),
        ("They can't (or won't) go.", "They ca n't ( or wo n't ) go ."),
        ('He said "no".', "He said `` no '' ."),
        ("Er sagte: nein.", "Er sagte : nein ."),
        ("It costs $5.00 in the U.S. today.", "It costs $ 5.00 in the U.S. today ."),
        ("", ""),
    ],
)
def test_tokens_and_text_again(text: str, tokens: str) -> None:
    assert TOKENIZER.encode(text) == tokens
    assert TOKENIZER.decode(tokens) == text


def test_what_decoding_cannot_know() -> None:
    assert TOKENIZER.decode(TOKENIZER.encode("left -- right")) == "left--right"
