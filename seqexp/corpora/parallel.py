"""Sentence pairs in two text files, line by line."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seqexp.config.base import one_or_more, require
from seqexp.corpora.base import TRAIN, Corpus, CorpusConfig
from seqexp.runtime.errors import UserError

SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass
class ParallelCorpusConfig(CorpusConfig):
    """Two languages; the file of a language is `{prefix}.{language}`."""

    _target_: str = "seqexp.corpora.parallel.ParallelCorpus"
    source_lang: str = MISSING
    """Ending of the source's files, and the language whose rules the text stages use."""
    target_lang: str = MISSING
    """Ending of the target's files, and the language whose rules the text stages use."""
    train: Any = MISSING
    """Prefix of the training files, or a list of them that are read one after the other as one split; null for none,
    where nothing is to be learnt (`reuse`)."""
    valid: Any = None
    """Prefix of the validation files; null for none. A list makes the splits `valid`, `valid1`, ...; with names of your
    own, `{newstest: raw/newstest, ted: raw/ted}`."""
    test: Any = None
    """Prefix of the test files; null for none. A list makes the splits `test`, `test1`, ...; names as in `valid`."""
    alignments: str | None = None
    """Ending of files of word alignments, `{prefix}.{alignments}`: for each line its pairs `i-j` of a source and a
    target token, counted from 0 in the text as it is after all stages. The train split needs them, others have them
    where there is such a file; null for none."""

    def __post_init__(self) -> None:
        same = self.source_lang == self.target_lang != MISSING
        require(not same, "target_lang", self.target_lang, "a language other than corpus.source_lang")
        taken = self.alignments in (self.source_lang, self.target_lang)
        require(not taken, "alignments", self.alignments, "an ending other than the languages")
        self.prefixes()

    def prefixes(self) -> dict[str, list[str]]:
        """The prefixes of each split.

        Raises:
            ValueError: a value is no prefix, list or mapping of them, or a name is used twice.
        """
        found = {} if self.train in (None, MISSING) else {TRAIN: one_or_more("train", self.train, "prefix")}
        for key in ("valid", "test"):
            value = getattr(self, key)
            for name, prefix in _named(key, value).items():
                require(name not in found, key, value, f"the name {name} is taken")
                found[name] = [prefix]
        return found


def _named(key: str, value: Any) -> dict[str, str]:
    """Held-out sets by name."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        prefixes = one_or_more(key, value, "prefix")
        return {f"{key}{number or ''}": prefix for number, prefix in enumerate(prefixes)}
    for name, prefix in value.items():
        require(isinstance(prefix, str), f"{key}.{name}", prefix, "a prefix")
        is_name = SPLIT_NAME.fullmatch(str(name)) is not None
        require(is_name, key, value, f"the name {name!r} must be letters, digits, - and _")
    return {str(name): prefix for name, prefix in value.items()}


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
        prefixes = self.config.prefixes()
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
        prefixes = self.config.prefixes()
        has_any = {split: any(_path(prefix, ending).exists() for prefix in prefixes[split]) for split in prefixes}
        return {
            split: _existing(split, prefixes[split], ending) for split in prefixes if split == TRAIN or has_any[split]
        }


def _path(prefix: str, ending: str) -> Path:
    return Path(f"{prefix}.{ending}")


def _existing(split: str, prefixes: list[str], ending: str) -> list[Path]:
    paths = []
    for prefix in prefixes:
        path = _path(prefix, ending)
        if path.is_dir():
            raise UserError(f"corpus: split {split}: {path} is a directory, not a text file")
        if not path.is_file():
            raise UserError(f"corpus: split {split}: there is no file {path}")
        paths.append(path)
    return paths
