from pathlib import Path
from typing import Any

import pytest

from seqexp.config.build import build
from seqexp.data.stages import TextStages
from seqexp.data.words import WordStatistics, words_of_line
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.base import Tokenizer
from seqexp.tokenizers.byte_bpe import ByteBPEConfig
from seqexp.tokenizers.bytes import BytesConfig
from seqexp.tokenizers.characters import CharactersConfig
from seqexp.tokenizers.sentencepiece import SentencePieceConfig, SentencePieceTokenizer
from seqexp.tokenizers.subword_nmt import SubwordNMTConfig
from seqexp.tokenizers.whitespace import WhitespaceConfig


def stages(config: Any) -> TextStages:
    return TextStages([build(config, directory=Path(), language="en")])


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (WhitespaceConfig(), "the runner runs </s>"),
        (SubwordNMTConfig(), "the run@@ n@@ er run@@ s </s>"),
        (SentencePieceConfig(), "▁the ▁run n er ▁run s </s>"),
        (ByteBPEConfig(), "▁the ▁run n er ▁run s </s>"),
        (BytesConfig(), f"{' '.join('the▁runner▁runs')} </s>"),
        (CharactersConfig(), f"{' '.join('the▁runner▁runs')} </s>"),
    ],
    ids=["whitespace", "subword_nmt", "sentencepiece", "byte_bpe", "bytes", "characters"],
)
def test_words(config: Any, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SentencePieceTokenizer, "_has_bytes", False)
    tokens = line.split()
    words = words_of_line(tokens, [-1.0] * len(tokens), stages(config))
    assert [word.text for word in words] == ["the", "runner", "runs", "</s>"]
    assert sum(word.log_prob for word in words) == -len(tokens)
    assert sum(word.num_tokens for word in words) == len(tokens)


def test_a_line_that_does_not_begin_with_a_word() -> None:
    assert [word.text for word in words_of_line(["</s>"], [-1.0], stages(WhitespaceConfig()))] == ["</s>"]


def test_tokens_that_tell_no_words() -> None:
    other = Other(WhitespaceConfig(), directory=Path(), language="en")
    with pytest.raises(UserError, match="the tokens of Other do not tell where words begin"):
        words_of_line(["a", "</s>"], [-1.0, -1.0], TextStages([other]))


class Other(Tokenizer):
    """A stage from somewhere else."""

    def encode(self, line: str) -> str:
        return line

    def decode(self, tokens: str) -> str:
        return tokens


def test_statistics(tmp_path: Path) -> None:
    statistics, pieces = WordStatistics(), stages(SubwordNMTConfig())
    statistics.add(words_of_line(["a", "b@@", "c", "</s>"], [-1.0, -2.0, -3.0, -4.0], pieces))
    statistics.add(words_of_line(["a", "a", "</s>"], [-0.5, -0.25, -1.0], pieces))
    assert list(statistics.rows()) == [
        ("a", 3, -1.75, 1, -6.25, 3),
        ("</s>", 2, -5.0, 1, 0.0, 0),
        ("bc", 1, -5.0, 2, -4.0, 1),
    ]
    statistics.save(tmp_path / "words.tsv")
    assert (tmp_path / "words.tsv").read_text().splitlines()[1] == "a\t3\t-1.7500\t1\t-6.2500\t3"
