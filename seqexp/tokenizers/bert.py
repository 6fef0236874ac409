"""WordPiece as in BERT (Devlin et al. 2019, https://aclanthology.org/N19-1423)."""

import dataclasses
import functools
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.config.base import require
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import atomic_path, write_text
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.given import copy_given
from seqexp.tokenizers.huggingface import tokenizers_library

UNKNOWN = "[UNK]"
CONTINUES = "##"


@dataclass
class BertConfig(TokenizerConfig):
    """BERT's basic tokenizer and WordPiece, with a given vocabulary or one learnt from the training text."""

    _target_: str = "seqexp.tokenizers.bert.BertTokenizer"
    vocabulary: str | None = None
    """An existing `vocab.txt`, a piece a line, copied into the data directory; null learns one."""
    lowercase: bool = False
    """Fold case and strip accents, as BERT's uncased models need it. Decoding does not bring them back."""
    vocabulary_size: int = 8000
    """Pieces to learn; fewer are learnt if no pair is frequent enough."""
    joint: bool = True
    """One vocabulary for all fields, learnt from all their text; otherwise one for each."""

    def __post_init__(self) -> None:
        require(self.vocabulary_size > 1, "vocabulary_size", self.vocabulary_size, "more than 1")

    def portable(self) -> "BertConfig":
        return dataclasses.replace(self, vocabulary=None)


class BertTokenizer(Tokenizer):
    """Words and punctuation in the longest pieces that the vocabulary has; "##" continues a word.

    Decoding is no exact inverse: spaces around punctuation are set by rules, control characters are gone, and a word of
    which the vocabulary lacks a character, or of more than 100, is `[UNK]`. Needs the extra `tokenizers`.
    """

    def __init__(self, config: BertConfig, *, directory: Path, language: str) -> None:
        super().__init__(config, directory=directory, language=language)
        self.config = config
        self.directory = directory
        self.name = "wordpiece.txt" if config.joint else f"wordpiece.{language}.txt"

    def files(self) -> list[str]:
        return [self.name]

    def inputs(self) -> list[Path]:
        return [Path(self.config.vocabulary)] if self.config.vocabulary else []

    def train(self, lines: Iterable[str]) -> None:
        if self.config.vocabulary is None:
            pieces = self._learn(lines)
            write_text(self.directory / self.name, "".join(f"{piece}\n" for piece in pieces))
        else:
            with atomic_path(self.directory / self.name) as path:
                copy_given("vocabulary", self.config.vocabulary, path)

    def _learn(self, lines: Iterable[str]) -> list[str]:
        """Pieces in the order of their numbers.

        The library numbers the characters that continue words in an order that differs from run to run, and pairs
        that are equally frequent are merged by number. So it is told them beforehand, which takes a pass of its own.
        """
        library = tokenizers_library()
        tokenizer = self._tokenizer(library.models.WordPiece(unk_token=UNKNOWN))
        characters: set[str] = set()
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=self.directory) as text:
            for line in lines:
                text.write(line + "\n")
                words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(line))
                characters.update(*(word[1:] for word, _ in words))
            text.seek(0)
            trainer = library.trainers.WordPieceTrainer(
                vocab_size=self.config.vocabulary_size,
                special_tokens=[UNKNOWN, *(CONTINUES + character for character in sorted(characters))],
                continuing_subword_prefix=CONTINUES,
                limit_alphabet=1 << 30,
                show_progress=False,
            )
            tokenizer.train_from_iterator(text, trainer)
        numbers: dict[str, int] = tokenizer.get_vocab()
        if len(numbers) > self.config.vocabulary_size:
            size = self.config.vocabulary_size
            raise UserError(f"subword.vocabulary_size={size} is too small: at least {len(numbers)}")
        return sorted(numbers, key=numbers.__getitem__)

    @functools.cached_property
    def tokenizer(self) -> Any:
        path = self.directory / self.name
        library = tokenizers_library()
        try:
            model = library.models.WordPiece.from_file(
                str(path), unk_token=UNKNOWN, continuing_subword_prefix=CONTINUES
            )
        except Exception as error:  # the library has no class of its own
            raise UserError(f"{path}: not a readable list of pieces: {error}") from error
        if model.token_to_id(UNKNOWN) is None:
            raise UserError(f"{path}: it lacks the piece {UNKNOWN}")
        return self._tokenizer(model)

    def _tokenizer(self, model: Any) -> Any:
        library = tokenizers_library()
        tokenizer = library.Tokenizer(model)
        tokenizer.normalizer = library.normalizers.BertNormalizer(lowercase=self.config.lowercase)
        tokenizer.pre_tokenizer = library.pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = library.decoders.WordPiece(prefix=CONTINUES)
        return tokenizer

    def encode(self, line: str) -> str:
        return self.encode_lines([line])[0]

    def encode_lines(self, lines: list[str]) -> list[str]:
        return [" ".join(encoding.tokens) for encoding in self.tokenizer.encode_batch(lines)]

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        return [not token.startswith(CONTINUES) for token in tokens]

    def decode(self, tokens: str) -> str:
        text: str = self.tokenizer.decoder.decode(tokens.split())
        return text
