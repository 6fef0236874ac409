"""Sentence pairs in two text files, line by line."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from omegaconf import MISSING

from seqexp.config.base import require
from seqexp.corpora.base import TRAIN, Corpus
from seqexp.corpora.files import FileCorpusConfig, existing


@dataclass
class ParallelCorpusConfig(FileCorpusConfig):
    """Two languages. Splits are given by prefixes; the file of a language is `{prefix}.{language}`."""

    noun: ClassVar[str] = "prefix"

    _target_: str = "seqexp.corpora.parallel.ParallelCorpus"
    source_lang: str = MISSING
    """Ending of the source's files, and the language whose rules the text stages use."""
    target_lang: str = MISSING
    """Ending of the target's files, and the language whose rules the text stages use."""
    alignments: str | None = None
    """Ending of files of word alignments, `{prefix}.{alignments}`: for each line its pairs `i-j` of a source and a
    target token, counted from 0 in the text as it is after all stages. The train split needs them, others have them
    where there is such a file; null for none."""

    def __post_init__(self) -> None:
        same = self.source_lang == self.target_lang != MISSING
        require(not same, "target_lang", self.target_lang, "a language other than corpus.source_lang")
        taken = self.alignments in (self.source_lang, self.target_lang)
        require(not taken, "alignments", self.alignments, "an ending other than the languages")
        super().__post_init__()


class ParallelCorpus(Corpus):
    """Reads files where they lie."""

    kind = "parallel"

    def __init__(self, config: ParallelCorpusConfig) -> None:
        self.config = config

    def fields(self) -> list[str]:
        return [self.config.source_lang, self.config.target_lang]

    def splits(self, directory: Path) -> dict[str, dict[str, list[Path]]]:
        """Raises:
        UserError: a file is missing.
        """
        prefixes = self.config.named_splits()
        return {
            split: {field: _existing(split, prefixes[split], field) for field in self.fields()} for split in prefixes
        }

    def alignments(self) -> dict[str, list[Path]]:
        """Raises:
        UserError: a file of the train split, or some but not all of another, is missing.
        """
        ending = self.config.alignments
        if ending is None:
            return {}
        prefixes = self.config.named_splits()
        has_any = {split: any(_path(prefix, ending).exists() for prefix in prefixes[split]) for split in prefixes}
        return {
            split: _existing(split, prefixes[split], ending) for split in prefixes if split == TRAIN or has_any[split]
        }


def _path(prefix: str, ending: str) -> Path:
    return Path(f"{prefix}.{ending}")


def _existing(split: str, prefixes: list[str], ending: str) -> list[Path]:
    return existing(split, [_path(prefix, ending) for prefix in prefixes])
