"""The vocabularies of a data directory: counted, or given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.config.base import require
from seqexp.data.counting import count_tokens, learn_vocabulary
from seqexp.data.ledger import Ledger
from seqexp.data.manifest import VocabularyRecord, file_record
from seqexp.data.text import Chunk
from seqexp.data.vocabulary import Vocabulary

SIDES = ("source", "target")


@dataclass
class VocabularyConfig:
    """Which tokens have an index. The training text is counted, unless a vocabulary is given."""

    joint: bool = True
    """One vocabulary for all fields."""
    threshold: Any = 0
    """Tokens that occur less often are unknown. A count; without `joint` also one for each side,
    `{source: 5, target: 2}`."""
    max_size: Any = None
    """At most so many tokens, special ones included, the most frequent; null for all. A size; without `joint` also one
    for each side, `{source: 30000, target: null}`."""
    multiple_of: int = 8
    """The size is filled up to a multiple of this with tokens that never occur; 1 for no filling."""
    source: str | None = None
    """An existing dictionary file for the source, and with `joint` for all fields."""
    target: str | None = None
    """An existing dictionary file for the target. Not together with `joint`, which needs one file."""
    only: bool = False
    """Stop when text stages and vocabularies are made; the directory then has no splits and serves as `reuse`."""

    def __post_init__(self) -> None:
        self._check("threshold", lambda value: _is_count(value) and value >= 0, "a count from 0")
        self._check("max_size", lambda value: value is None or (_is_count(value) and value > 4), "more than 4, or null")
        require(self.multiple_of > 0, "multiple_of", self.multiple_of, "a positive number")
        both = self.joint and self.target is not None
        require(not both, "target", self.target, "a joint vocabulary is given by vocabulary.source")

    def _check(self, name: str, is_right: Any, right: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, dict):
            require(is_right(value), name, value, right)
            return
        require(
            not self.joint, name, value, f"one number; a number for each side needs vocabulary.joint=false ({right})"
        )
        require(set(value) == set(SIDES), name, value, "a number for each of source and target")
        for side in SIDES:
            require(is_right(value[side]), f"{name}.{side}", value[side], right)

    def limits(self, side: str) -> dict[str, Any]:
        """The options of counting for `source` or `target`."""
        found = {}
        for name in ("threshold", "max_size"):
            value = getattr(self, name)
            found[name] = value[side] if isinstance(value, dict) else value
        return {**found, "multiple_of": self.multiple_of}

    def given(self, fields: Sequence[str]) -> dict[str, Path]:
        """The existing file of each field that has one."""
        files = [self.source] * len(fields) if self.joint else [self.source, self.target]
        return {field: Path(file) for field, file in zip(fields, files, strict=False) if file is not None}

    def file_name(self, field: str) -> str:
        """Where the data directory keeps the vocabulary of a field."""
        return "vocabulary.txt" if self.joint else f"vocabulary.{field}.txt"

    def groups(self, fields: Sequence[str]) -> dict[str, list[str]]:
        """Fields that share a vocabulary, by the side whose options hold for them."""
        return {"source": list(fields)} if self.joint else {s: [f] for s, f in zip(SIDES, fields, strict=False)}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def make_vocabularies(
    config: VocabularyConfig,
    fields: Sequence[str],
    texts: Mapping[str, Sequence[Chunk]],
    given: Mapping[str, Vocabulary],
    directory: Path,
    scratch: Path,
    ledger: Ledger,
) -> dict[str, Vocabulary]:
    """The vocabulary of each field, saved in `directory`.

    Args:
        texts: the train split after all stages, by field.
        given: the vocabularies that need not be counted.
    """
    vocabularies: dict[str, Vocabulary] = {}
    for side, sharing in config.groups(fields).items():
        path = directory / config.file_name(sharing[0])

        def make(side: str = side, sharing: list[str] = sharing, path: Path = path) -> tuple[None, list[Path]]:
            vocabulary = given.get(sharing[0])
            if vocabulary is None:
                chunks = [chunk for field in sharing for chunk in texts[field]]
                counts = count_tokens(chunks, " and ".join(sharing), scratch, ledger)
                vocabulary = learn_vocabulary(counts, **config.limits(side))
            vocabulary.save(path)
            return None, [path]

        ledger.once(path.name, make)
        vocabularies.update(dict.fromkeys(sharing, Vocabulary.load(path)))
    return vocabularies


def vocabulary_records(
    config: VocabularyConfig, vocabularies: Mapping[str, Vocabulary], directory: Path
) -> dict[str, VocabularyRecord]:
    """What the manifest says of them."""
    return {
        field: VocabularyRecord(file_record(directory, config.file_name(field)), len(vocabulary))
        for field, vocabulary in vocabularies.items()
    }
