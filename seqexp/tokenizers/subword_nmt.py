"""Byte-pair encoding of words (Sennrich et al. 2016, https://aclanthology.org/P16-1162)."""

import contextlib
import dataclasses
import functools
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TextIO

from seqexp.config.base import require
from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra
from seqexp.runtime.files import atomic_path
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.given import copy_given
from seqexp.tokenizers.sampling import MergeSampler, Sampler, SamplingConfig, Symbols, Vocabulary

SEPARATOR = "@@"
WORD_END = "</w>"


@dataclass
class SubwordNMTConfig(TokenizerConfig):
    """Merge operations learnt from the training text, or taken from an existing file."""

    _target_: str = "seqexp.tokenizers.subword_nmt.SubwordNMTTokenizer"
    num_operations: int = 10000
    """Merges to learn; fewer are learnt if no pair is frequent enough."""
    min_frequency: int = 2
    """Stop when no pair of symbols occurs so often."""
    joint: bool = True
    """One list of merges for all fields, learnt from all their text; otherwise one for each."""
    codes: str | None = None
    """An existing file of merges, copied into the data directory. The options of learning then have no effect."""

    def __post_init__(self) -> None:
        require(self.num_operations > 0, "num_operations", self.num_operations, "a positive number")

    def portable(self) -> "SubwordNMTConfig":
        return dataclasses.replace(self, codes=None)


class SubwordNMTTokenizer(Tokenizer):
    """Splits words into the pieces that the merges leave; every piece but a word's last ends in "@@".

    A word of the text that itself ends in "@@" is joined to the next by decoding. Needs the extra `subword-nmt`.
    """

    def __init__(self, config: SubwordNMTConfig, *, directory: Path, language: str) -> None:
        super().__init__(config, directory=directory, language=language)
        self.config = config
        self.directory = directory
        self.name = "codes.bpe" if config.joint else f"codes.{language}.bpe"

    def files(self) -> list[str]:
        return [self.name]

    def inputs(self) -> list[Path]:
        return [Path(self.config.codes)] if self.config.codes else []

    @functools.cached_property
    def bpe(self) -> Any:
        path = self.directory / self.name
        library = import_extra("subword_nmt.apply_bpe", "subword-nmt")
        try:
            with path.open(encoding="utf-8", newline="\n") as codes:
                return library.BPE(self._merges(codes), separator=SEPARATOR)
        except (OSError, UnicodeDecodeError, SystemExit) as error:  # the library exits on a malformed line
            raise UserError(f"{path}: not a readable file of merge operations") from error

    def _merges(self, codes: TextIO) -> TextIO:
        """The merges in the format of subword-nmt."""
        return codes

    def train(self, lines: Iterable[str]) -> None:
        with atomic_path(self.directory / self.name) as path:
            if self.config.codes is None:
                self._learn(lines, path)
            else:
                copy_given("codes", self.config.codes, path)

    def _learn(self, lines: Iterable[str], path: Path) -> None:
        library = import_extra("subword_nmt.learn_bpe", "subword-nmt")
        words = (" ".join(line.split()) for line in lines)
        quiet = contextlib.redirect_stderr(io.StringIO())  # the library draws a progress bar of its own
        with path.open("w", encoding="utf-8", newline="\n") as codes, quiet:
            try:
                library.learn_bpe(words, codes, self.config.num_operations, min_frequency=self.config.min_frequency)
            except ValueError as error:
                raise UserError("subword: the training text has no pair of characters to merge") from error

    def encode(self, line: str) -> str:
        encoded: str = self.bpe.process_line(" ".join(line.split()))
        return encoded

    def sampler(self, sampling: SamplingConfig, vocabulary: Vocabulary | None = None) -> Sampler | None:
        if not sampling.dropout:
            return None

        def is_known(symbols: Symbols) -> bool:
            return vocabulary is None or all(piece in vocabulary for piece in _written(symbols))

        merge = MergeSampler(self.bpe.bpe_codes, sampling.dropout, is_known)
        # In the library's first format the end of a word is a symbol of its own, later a part of the last character.
        end_is_apart = self.bpe.version == (0, 1)

        def sample_word(word: str, random: Random) -> str:
            symbols = (*word, WORD_END) if end_is_apart else (*word[:-1], word[-1] + WORD_END)
            return " ".join(_written(merge(symbols, random)))

        return lambda line, random: " ".join(sample_word(word, random) for word in line.split())

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        return [True, *(not token.endswith(SEPARATOR) for token in tokens[:-1])][: len(tokens)]

    def decode(self, tokens: str) -> str:
        return (tokens + " ").replace(SEPARATOR + " ", "").rstrip(" ")


def _written(symbols: Symbols) -> list[str]:
    """The symbols of a word as the library writes them."""
    *pieces, last = symbols if symbols[-1] != WORD_END else symbols[:-1]
    return [*(piece + SEPARATOR for piece in pieces), last.removesuffix(WORD_END)]
