"""Corpora: where `preprocess` finds raw text."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from seqexp.config.base import ComponentConfig

TRAIN = "train"
"""The split that vocabularies and text stages are learnt from."""


@dataclass
class CorpusConfig(ComponentConfig):
    """Base of all corpora's configs."""


class Corpus(ABC):
    """Raw text in UTF-8 files, one sentence a line; a field (a language) is one side of every example."""

    kind: str
    """What an example is: `parallel` sentences, or a line of `text`."""

    @abstractmethod
    def fields(self) -> list[str]:
        """Names of the fields, the source first."""

    @abstractmethod
    def splits(self, directory: Path) -> dict[str, dict[str, list[Path]]]:
        """For each split (`train` and others by their names), the files of each field, to be read one after the other.
        A corpus that generates its text writes it below `directory`."""

    def alignments(self) -> dict[str, list[Path]]:
        """For each split that has them, the files of word alignments; as many as each field has."""
        return {}
