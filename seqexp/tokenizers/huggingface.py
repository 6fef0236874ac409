"""Any tokenizer of Hugging Face's `tokenizers` library (https://github.com/huggingface/tokenizers)."""

import dataclasses
import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.config.base import require
from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra
from seqexp.runtime.files import atomic_path
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.given import copy_given


def tokenizers_library() -> Any:
    """The module `tokenizers`, which works in this process alone: text is spread over processes already."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return import_extra("tokenizers", "tokenizers")


@dataclass
class HuggingFaceConfig(TokenizerConfig):
    """The tokenizer of a `tokenizer.json`, or byte-level BPE learnt from the training text."""

    _target_: str = "seqexp.tokenizers.huggingface.HuggingFaceTokenizer"
    tokenizer_json: str | None = None
    """An existing `tokenizer.json`, copied into the data directory; null learns byte-level BPE."""
    vocabulary_size: int = 8000
    """Pieces to learn, the 256 bytes included; fewer are learnt if no pair is frequent enough."""
    min_frequency: int = 2
    """Stop when no pair of pieces occurs so often."""
    joint: bool = True
    """One tokenizer for all fields, learnt from all their text; otherwise one for each."""

    def __post_init__(self) -> None:
        require(self.vocabulary_size >= 256, "vocabulary_size", self.vocabulary_size, "at least 256")
        require(self.min_frequency >= 0, "min_frequency", self.min_frequency, "a count from 0")

    def portable(self) -> "HuggingFaceConfig":
        return dataclasses.replace(self, tokenizer_json=None)


class HuggingFaceTokenizer(Tokenizer):
    """The pieces as the tokenizer writes them; white space inside of one is written `[U+0020]`.

    Learnt byte-level BPE encodes any text and decodes exactly; a given tokenizer normalises and forgets what it likes.
    Its special tokens are not added, and not looked for in text. Needs the extra `tokenizers`.
    """

    def __init__(self, config: HuggingFaceConfig, *, directory: Path, language: str) -> None:
        super().__init__(config, directory=directory, language=language)
        self.config = config
        self.directory = directory
        self.name = "tokenizer.json" if config.joint else f"tokenizer.{language}.json"

    def files(self) -> list[str]:
        return [self.name]

    def inputs(self) -> list[Path]:
        return [Path(self.config.tokenizer_json)] if self.config.tokenizer_json else []

    def train(self, lines: Iterable[str]) -> None:
        with atomic_path(self.directory / self.name) as path:
            if self.config.tokenizer_json is None:
                self._learn(lines, path)
            else:
                copy_given("tokenizer_json", self.config.tokenizer_json, path)

    def _learn(self, lines: Iterable[str], path: Path) -> None:
        library = tokenizers_library()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=self.config.vocabulary_size,
            min_frequency=self.config.min_frequency,
            initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(lines, trainer)
        tokenizer.save(str(path))

    @functools.cached_property
    def tokenizer(self) -> Any:
        path = self.directory / self.name
        try:
            tokenizer = tokenizers_library().Tokenizer.from_file(str(path))
        except UserError:
            raise
        except Exception as error:  # the library has no class of its own
            raise UserError(f"{path}: not a readable tokenizer.json: {error}") from error
        tokenizer.encode_special_tokens = True  # text that spells one is text
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if getattr(tokenizer.model, "dropout", None):
            tokenizer.model.dropout = None  # it draws from a generator that nobody can seed
        return tokenizer

    @functools.cached_property
    def _written(self) -> dict[str, str]:
        """Pieces with white space, and how they are written."""
        pieces = [piece for piece in self.tokenizer.get_vocab() if piece.split() != [piece]]
        return {piece: "".join(_visible(character) for character in piece) or "[]" for piece in pieces}

    @functools.cached_property
    def _read(self) -> dict[str, str]:
        return {written: piece for piece, written in self._written.items()}

    def encode(self, line: str) -> str:
        return self.encode_lines([line])[0]

    def encode_lines(self, lines: list[str]) -> list[str]:
        encodings = self.tokenizer.encode_batch(lines, add_special_tokens=False)
        if not self._written:
            return [" ".join(encoding.tokens) for encoding in encodings]
        return [" ".join(self._written.get(piece, piece) for piece in encoding.tokens) for encoding in encodings]

    def decode(self, tokens: str) -> str:
        pieces = [self._read.get(token, token) for token in tokens.split()]
        decoder = self.tokenizer.decoder
        text: str = " ".join(pieces) if decoder is None else decoder.decode(pieces)
        return text


def _visible(character: str) -> str:
    return f"[U+{ord(character):04X}]" if character.isspace() else character
