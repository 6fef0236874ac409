"""Text in one language, line by line."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from seqexp.corpora.base import Corpus
from seqexp.corpora.files import FileCorpusConfig, existing


@dataclass
class TextCorpusConfig(FileCorpusConfig):
    """One text file for each split. Where blank lines end documents, keep them: `lines.empty=keep`."""

    _target_: str = "seqexp.corpora.text.TextCorpus"
    language: str = MISSING
    """Language whose rules the text stages use."""


class TextCorpus(Corpus):
    """Reads files where they lie."""

    kind = "text"

    def __init__(self, config: TextCorpusConfig) -> None:
        self.config = config

    def fields(self) -> list[str]:
        return [self.config.language]

    def splits(self, directory: Path) -> dict[str, dict[str, list[Path]]]:
        """Raises:
        UserError: a file is missing.
        """
        named = self.config.named_splits()
        return {
            split: {self.config.language: existing(split, [Path(path) for path in paths])}
            for split, paths in named.items()
        }
