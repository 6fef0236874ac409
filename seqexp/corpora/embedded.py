"""A corpus that needs no download: sentence pairs made by a grammar that ships with the package."""

from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from seqexp.config.base import require
from seqexp.corpora.base import Corpus, CorpusConfig
from seqexp.corpora.grammar.generate import sentence_pairs

SOURCE, TARGET = "en", "de"
GRAMMAR_VERSION = 1
"""Raised with every change of the text that the grammar makes, so that prepared data of an older one is not used."""


@dataclass
class EmbeddedCorpusConfig(CorpusConfig):
    """English and German sentences, the same for the same numbers and seed."""

    _target_: str = "seqexp.corpora.embedded.EmbeddedCorpus"
    num_train: int = 34_000
    """Pairs of the train split."""
    num_valid: int = 500
    """Pairs of the valid split."""
    num_test: int = 1000
    """Pairs of the test split."""
    seed: int = 1
    """Of the sentences that are drawn."""

    def __post_init__(self) -> None:
        for name in ("num_train", "num_valid", "num_test"):
            require(getattr(self, name) > 0, f"{name}", getattr(self, name), "a positive number")


class EmbeddedCorpus(Corpus):
    """Generates its text."""

    kind = "parallel"

    def __init__(self, config: EmbeddedCorpusConfig) -> None:
        self.config = config

    def fields(self) -> list[str]:
        return [SOURCE, TARGET]

    def splits(self, directory: Path) -> dict[str, dict[str, list[Path]]]:
        counts = {"train": self.config.num_train, "valid": self.config.num_valid, "test": self.config.num_test}
        return {split: self._write(directory, split, count) for split, count in counts.items()}

    def _write(self, directory: Path, split: str, count: int) -> dict[str, list[Path]]:
        directory.mkdir(parents=True, exist_ok=True)
        paths = {field: directory / f"{split}.{field}" for field in self.fields()}
        with _text(paths[SOURCE]) as sources, _text(paths[TARGET]) as targets:
            for source, target in sentence_pairs(split, count, self.config.seed):
                sources.write(source + "\n")
                targets.write(target + "\n")
        return {field: [path] for field, path in paths.items()}


def _text(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="\n")
