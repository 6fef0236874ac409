"""Byte-level BPE with the files of GPT-2 (Radford et al. 2019), written as numbers as fairseq does."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.runtime.errors import UserError
from seqexp.runtime.files import atomic_path
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.given import copy_given, needed
from seqexp.tokenizers.huggingface import tokenizers_library

ENCODER, MERGES = "encoder.json", "vocab.bpe"


@dataclass
class GPT2Config(TokenizerConfig):
    """GPT-2's subwords, or those of another model with files of the same form. Tokens are written as numbers."""

    _target_: str = "seqexp.tokenizers.gpt2.GPT2Tokenizer"
    encoder_json: str | None = None
    """`encoder.json`, numbers of the pieces; copied into the data directory. Needed."""
    vocab_bpe: str | None = None
    """`vocab.bpe`, the merges; copied into the data directory. Needed."""

    def portable(self) -> "GPT2Config":
        return dataclasses.replace(self, encoder_json=None, vocab_bpe=None)


class GPT2Tokenizer(Tokenizer):
    """Any text can be encoded, and decoding is exact. Needs the extra `tokenizers`."""

    def __init__(self, config: GPT2Config, *, directory: Path, language: str) -> None:
        super().__init__(config, directory=directory, language=language)
        self.config = config
        self.directory = directory

    def files(self) -> list[str]:
        return [ENCODER, MERGES]

    def inputs(self) -> list[Path]:
        return [
            needed("encoder_json", self.config.encoder_json, "GPT-2's encoder.json"),
            needed("vocab_bpe", self.config.vocab_bpe, "GPT-2's vocab.bpe"),
        ]

    def train(self, lines: Iterable[str]) -> None:
        encoder, merges = self.inputs()
        for key, given, name in (("encoder_json", encoder, ENCODER), ("vocab_bpe", merges, MERGES)):
            with atomic_path(self.directory / name) as path:
                copy_given(key, given, path)

    @functools.cached_property
    def tokenizer(self) -> Any:
        library = tokenizers_library()
        paths = [str(self.directory / name) for name in (ENCODER, MERGES)]
        try:
            tokenizer = library.Tokenizer(library.models.BPE.from_file(*paths))
        except Exception as error:  # the library has no class of its own
            raise UserError(f"{paths[0]} and {paths[1]} do not go together: {error}") from error
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        return tokenizer

    def encode(self, line: str) -> str:
        return self.encode_lines([line])[0]

    def encode_lines(self, lines: list[str]) -> list[str]:
        return [" ".join(map(str, encoding.ids)) for encoding in self.tokenizer.encode_batch(lines)]

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        return [bool(self.decode(token)[:1].isspace()) for token in tokens]

    def decode(self, tokens: str) -> str:
        """Text of the numbers; what is none, such as `<unk>`, is left out."""
        numbers = [int(token) for token in tokens.split() if token.isdecimal()]
        size = self.tokenizer.get_vocab_size()
        text: str = self.tokenizer.decode([number for number in numbers if number < size])
        return text
