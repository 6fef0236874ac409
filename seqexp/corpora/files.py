"""Corpora that lie in text files, named by the user."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import MISSING

from seqexp.config.base import one_or_more, require
from seqexp.corpora.base import TRAIN, CorpusConfig
from seqexp.runtime.errors import UserError

SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass
class FileCorpusConfig(CorpusConfig):
    """Splits by their files."""

    noun: ClassVar[str] = "path"
    """What a user gives for a split."""

    train: Any = MISSING
    """The training text, or a list of parts that are read one after the other as one split; null for none, where
    nothing is to be learnt (`reuse`)."""
    valid: Any = None
    """The validation text; null for none. A list makes the splits `valid`, `valid1`, ...; with names of your own,
    `{newstest: raw/newstest, ted: raw/ted}`."""
    test: Any = None
    """The test text; null for none. A list makes the splits `test`, `test1`, ...; names as in `valid`."""

    def __post_init__(self) -> None:
        self.named_splits()

    def named_splits(self) -> dict[str, list[str]]:
        """What the user gave for each split.

        Raises:
            ValueError: a value is no path, list or mapping of them, or a name is used twice.
        """
        found = {} if self.train in (None, MISSING) else {TRAIN: one_or_more("train", self.train, self.noun)}
        for key in ("valid", "test"):
            value = getattr(self, key)
            for name, path in _named(key, value, self.noun).items():
                require(name not in found, key, value, f"the name {name} is taken")
                found[name] = [path]
        return found


def _named(key: str, value: Any, noun: str) -> dict[str, str]:
    """Held-out sets by name."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        paths = one_or_more(key, value, noun)
        return {f"{key}{number or ''}": path for number, path in enumerate(paths)}
    for name, path in value.items():
        require(isinstance(path, str), f"{key}.{name}", path, f"a {noun}")
        is_name = SPLIT_NAME.fullmatch(str(name)) is not None
        require(is_name, key, value, f"the name {name!r} must be letters, digits, - and _")
    return {str(name): path for name, path in value.items()}


def existing(split: str, paths: list[Path]) -> list[Path]:
    """The paths, all of which are files.

    Raises:
        UserError: one is not.
    """
    for path in paths:
        if path.is_dir():
            raise UserError(f"corpus: split {split}: {path} is a directory, not a text file")
        if not path.is_file():
            raise UserError(f"corpus: split {split}: there is no file {path}")
    return paths
