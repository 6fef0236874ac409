"""Byte-pair encoding with the merges of fastBPE (https://github.com/glample/fastBPE)."""

import dataclasses
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.base import TokenizerConfig
from seqexp.tokenizers.given import needed
from seqexp.tokenizers.subword_nmt import SubwordNMTConfig, SubwordNMTTokenizer


@dataclass
class FastBPEConfig(TokenizerConfig):
    """Merge operations from an existing codes file of fastBPE, one `left right count` a line."""

    _target_: str = "seqexp.tokenizers.fastbpe.FastBPETokenizer"
    codes: str | None = None
    """The codes file, copied into the data directory. Needed."""

    def portable(self) -> "FastBPEConfig":
        return dataclasses.replace(self, codes=None)


class FastBPETokenizer(SubwordNMTTokenizer):
    """Gives the pieces that `fast applybpe` gives, by way of subword-nmt, whose merges differ only in how a file of
    them looks. A word of the text that itself ends in "@@" is joined to the next by decoding."""

    def __init__(self, config: FastBPEConfig, *, directory: Path, language: str) -> None:
        super().__init__(SubwordNMTConfig(codes=config.codes), directory=directory, language=language)

    def inputs(self) -> list[Path]:
        return [needed("codes", self.config.codes, "a codes file of fastBPE")]

    def _learn(self, lines: Iterable[str], path: Path) -> None:
        self.inputs()  # says that the file is needed

    def _merges(self, codes: TextIO) -> TextIO:
        merges = ["#version: 0.2"]  # the version of subword-nmt's format in which `</w>` belongs to the last character
        for number, line in enumerate(codes, start=1):
            fields = line.rstrip("\n").split(" ")
            if len(fields) != 3 or not fields[2].isdecimal():
                raise UserError(f"{self.name}:{number}: fastBPE's lines are `left right count`, not {line.strip()!r}")
            merges.append(f"{fields[0]} {fields[1]}")
        return io.StringIO("\n".join(merges) + "\n")
