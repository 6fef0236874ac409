"""Subwords by SentencePiece (Kudo & Richardson 2018, https://aclanthology.org/D18-2012)."""

import dataclasses
import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import sentencepiece

from seqexp.config.base import require
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import atomic_path
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.given import copy_given
from seqexp.tokenizers.reservoir import sample_lines
from seqexp.tokenizers.sampling import Sampler, SamplingConfig, Vocabulary
from seqexp.tokenizers.sentencepiece_sampling import (
    SPACE,
    Pieces,
    clean,
    lattice_sampler,
    merge_sampler,
    nbest_sampler,
)

NUM_THREADS = 4
"""Of training. Fixed, whatever the machine: the unigram model sums over threads, so their number is in its digits."""


class ModelType(StrEnum):
    bpe = "bpe"
    unigram = "unigram"


class Normalization(StrEnum):
    """How characters are unified before all else; `cf` folds case too."""

    identity = "identity"
    nfkc = "nfkc"
    nfkc_cf = "nfkc_cf"
    nmt_nfkc = "nmt_nfkc"
    nmt_nfkc_cf = "nmt_nfkc_cf"


@dataclass
class SentencePieceConfig(TokenizerConfig):
    """Subwords learnt from the training text, or taken from an existing model."""

    _target_: str = "seqexp.tokenizers.sentencepiece.SentencePieceTokenizer"
    vocabulary_size: int = 8000
    """Pieces of the model, its three special ones included."""
    model_type: ModelType = ModelType.unigram
    joint: bool = True
    """One model for all fields, trained on all their text; otherwise one for each."""
    model: str | None = None
    """An existing `.model` file, copied into the data directory. The options of training then have no effect."""
    character_coverage: float = 1.0
    """Share of the text's characters that the model knows; 0.9995 is usual for Chinese or Japanese."""
    byte_fallback: bool = False
    """Write characters that the model does not know as their bytes rather than as one unknown token."""
    normalization: Normalization = Normalization.nmt_nfkc
    """SentencePiece's rule for unifying characters; decoding gives the unified text."""
    max_training_lines: int | None = None
    """Train on at most so many lines, drawn at random with a fixed seed; null takes all."""
    max_line_bytes: int = 65536
    """Longer lines are not used to train the model. They are encoded all the same."""

    def __post_init__(self) -> None:
        require(self.vocabulary_size > 3, "vocabulary_size", self.vocabulary_size, "more than 3")
        coverage = self.character_coverage
        require(0 < coverage <= 1, "character_coverage", coverage, "above 0 and at most 1")
        lines = self.max_training_lines
        require(lines is None or lines > 0, "max_training_lines", lines, "a positive number, or null")

    def portable(self) -> "SentencePieceConfig":
        return dataclasses.replace(self, model=None)


class SentencePieceTokenizer(Tokenizer):
    """Splits text into pieces; "▁" begins a word. Any text can be encoded, and no piece holds white space."""

    def __init__(
        self, config: SentencePieceConfig, *, directory: Path, language: str, split_by_script: bool = True
    ) -> None:
        """`split_by_script`: learn no piece that joins letters of several scripts, or letters and other signs."""
        super().__init__(config, directory=directory, language=language)
        self.split_by_script = split_by_script
        self.config = config
        self.directory = directory
        self.name = "sentencepiece.model" if config.joint else f"sentencepiece.{language}.model"

    def files(self) -> list[str]:
        return [self.name]

    def inputs(self) -> list[Path]:
        return [Path(self.config.model)] if self.config.model else []

    @functools.cached_property
    def processor(self) -> sentencepiece.SentencePieceProcessor:
        path = self.directory / self.name
        try:
            return sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise UserError(f"{path}: not a readable SentencePiece model") from error

    def train(self, lines: Iterable[str]) -> None:
        with atomic_path(self.directory / self.name) as path:
            if self.config.model is None:
                self._learn(lines, path)
            else:
                copy_given("model", self.config.model, path)

    def _learn(self, lines: Iterable[str], path: Path) -> None:
        lines = sample_lines(lines, self.config.max_training_lines)  # SentencePiece's own sampling cannot be seeded
        sentencepiece.set_random_generator_seed(1)
        with path.open("wb") as model:
            try:
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=(clean(line) for line in lines),
                    model_writer=model,
                    vocab_size=self.config.vocabulary_size,
                    model_type=str(self.config.model_type),
                    character_coverage=self.config.character_coverage,
                    byte_fallback=self.config.byte_fallback,
                    normalization_rule_name=str(self.config.normalization),
                    max_sentence_length=self.config.max_line_bytes,
                    split_by_unicode_script=self.split_by_script,
                    num_threads=NUM_THREADS,
                    minloglevel=2,
                )
            except (RuntimeError, OSError) as error:
                raise UserError(_explain(str(error), self.config)) from error

    def encode(self, line: str) -> str:
        return self.encode_lines([line])[0]

    def encode_lines(self, lines: list[str]) -> list[str]:
        encoded = self.processor.encode([clean(line) for line in lines], out_type=str, num_threads=1)
        return [" ".join(pieces) for pieces in encoded]

    def sampler(self, sampling: SamplingConfig, vocabulary: Vocabulary | None = None) -> Sampler | None:
        pieces = Pieces(self.processor)
        if pieces.model_type == "BPE" and sampling.dropout:
            return merge_sampler(self.processor, pieces, sampling, vocabulary)
        if pieces.model_type == "UNIGRAM" and sampling.alpha is not None:
            make = lattice_sampler if sampling.nbest_size == -1 else nbest_sampler
            return make(self.processor, pieces, sampling, vocabulary)
        return None

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        return [token.startswith(SPACE) for token in tokens]

    def decode(self, tokens: str) -> str:
        if self._has_bytes:
            text: str = self.processor.decode_pieces(tokens.split())
            return text
        return tokens.replace(" ", "").replace(SPACE, " ").strip()

    @functools.cached_property
    def _has_bytes(self) -> bool:
        return any(map(self.processor.is_byte, range(len(self.processor))))


def _explain(message: str, config: SentencePieceConfig) -> str:
    """One line for the user from the library's message."""
    size = config.vocabulary_size
    if match := re.search(r"set it to a value <= (\d+)", message):
        return f"subword.vocabulary_size={size} is too large for this text: at most {match[1]}"
    if match := re.search(r"smaller than required_chars. \d+ vs (\d+)", message):
        return f"subword.vocabulary_size={size} is too small: at least {match[1]}, or lower subword.character_coverage"
    if "sentences_.empty()" in message:
        return "subword: there is nothing to learn subwords from: every line of the training text is blank"
    return f"subword: SentencePiece cannot be trained: {' '.join(message.split())}"
