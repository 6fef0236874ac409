"""Byte-level BPE (Wang et al. 2020, https://arxiv.org/abs/1909.03341): SentencePiece's BPE on the bytes of the text."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqexp.config.base import require
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.bytes import SPACE, from_bytes, to_bytes
from seqexp.tokenizers.sampling import Sampler, SamplingConfig, Vocabulary
from seqexp.tokenizers.sentencepiece import ModelType, Normalization, SentencePieceConfig, SentencePieceTokenizer


@dataclass
class ByteBPEConfig(TokenizerConfig):
    """Subwords learnt on the bytes of the training text, or taken from an existing model: no character is unknown."""

    _target_: str = "seqexp.tokenizers.byte_bpe.ByteBPETokenizer"
    vocabulary_size: int = 8000
    """Pieces of the model, its three special ones included."""
    joint: bool = True
    """One model for all fields, trained on all their text; otherwise one for each."""
    model: str | None = None
    """An existing SentencePiece `.model` of text that was written as bytes, copied into the data directory. The options
    of training then have no effect."""
    split_by_script: bool = True
    """Learn no piece that joins letters with other signs, as SentencePiece does with any text. Many bytes of letters
    are shown as other signs, so `false` gives longer pieces outside of ASCII; have punctuation split off before."""
    max_training_lines: int | None = None
    """Train on at most so many lines, drawn at random with a fixed seed; null takes all."""
    max_line_bytes: int = 65536
    """Longer lines are not used to train the model. They are encoded all the same."""

    def __post_init__(self) -> None:
        require(self.vocabulary_size > 3, "vocabulary_size", self.vocabulary_size, "more than 3")

    def portable(self) -> "ByteBPEConfig":
        return dataclasses.replace(self, model=None)


class ByteBPETokenizer(Tokenizer):
    """Pieces of `bytes`' alphabet; "▁" begins a word. Exact inverse, apart from runs of white space."""

    def __init__(self, config: ByteBPEConfig, *, directory: Path, language: str) -> None:
        super().__init__(config, directory=directory, language=language)
        of_bytes = SentencePieceConfig(
            vocabulary_size=config.vocabulary_size,
            model_type=ModelType.bpe,
            joint=config.joint,
            model=config.model,
            normalization=Normalization.identity,
            max_training_lines=config.max_training_lines,
            max_line_bytes=config.max_line_bytes,
        )
        self.pieces = SentencePieceTokenizer(
            of_bytes, directory=directory, language=language, split_by_script=config.split_by_script
        )

    def files(self) -> list[str]:
        return self.pieces.files()

    def inputs(self) -> list[Path]:
        return self.pieces.inputs()

    def train(self, lines: Iterable[str]) -> None:
        self.pieces.train(map(to_bytes, lines))

    def encode(self, line: str) -> str:
        return self.pieces.encode(to_bytes(line))

    def encode_lines(self, lines: list[str]) -> list[str]:
        return self.pieces.encode_lines([to_bytes(line) for line in lines])

    def sampler(self, sampling: SamplingConfig, vocabulary: Vocabulary | None = None) -> Sampler | None:
        sampler = self.pieces.sampler(sampling, vocabulary)
        return None if sampler is None else lambda line, random: sampler(to_bytes(line), random)

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        return self.pieces.word_starts(tokens)

    def decode(self, tokens: str) -> str:
        return from_bytes(tokens.replace(" ", "").replace(SPACE, " ")).strip()
