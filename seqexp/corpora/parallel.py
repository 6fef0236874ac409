"""Sentence pairs in two text files, line by line."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from seqexp.config.base import require
from seqexp.corpora.base import Corpus, CorpusConfig
from seqexp.runtime.errors import UserError


@dataclass
class ParallelCorpusConfig(CorpusConfig):
    """Two languages; the file of a language is `{prefix}.{language}`."""

    _target_: str = "seqexp.corpora.parallel.ParallelCorpus"
    source_lang: str = MISSING
    """Ending of the source's files, and the language whose rules the text stages use."""
    target_lang: str = MISSING
    """Ending of the target's files, and the language whose rules the text stages use."""
    train: str = MISSING
    """Prefix of the training files."""
    valid: str | None = None
    """Prefix of the validation files; null for none."""
    test: str | None = None
    """Prefix of the test files; null for none."""

    def __post_init__(self) -> None:
        same = self.source_lang == self.target_lang != MISSING
        require(not same, "target_lang", self.target_lang, "a language other than corpus.source_lang")


class ParallelCorpus(Corpus):
    """Reads files where they lie."""

    kind = "parallel"

    def __init__(self, config: ParallelCorpusConfig) -> None:
        self.config = config

    def fields(self) -> list[str]:
        return [self.config.source_lang, self.config.target_lang]

    def splits(self, directory: Path) -> dict[str, dict[str, Path]]:
        """Raises:
        UserError: a file is missing.
        """
        prefixes = {"train": self.config.train, "valid": self.config.valid, "test": self.config.test}
        given = {split: prefix for split, prefix in prefixes.items() if prefix is not None}
        fields = self.fields()
        return {split: {field: _existing(split, prefix, field) for field in fields} for split, prefix in given.items()}


def _existing(split: str, prefix: str, field: str) -> Path:
    path = Path(f"{prefix}.{field}")
    if not path.is_file():
        raise UserError(f"corpus.{split}={prefix}: there is no file {path}")
    return path
