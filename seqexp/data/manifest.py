"""`manifest.json`: what a data directory holds and how it was made."""

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from seqexp.runtime.errors import UserError
from seqexp.runtime.files import sha256_of_file, write_json

MANIFEST = "manifest.json"
FORMAT_VERSION = 1

Record = TypeVar("Record")


@dataclass(frozen=True)
class FileRecord:
    """A file of the data directory."""

    name: str
    """Path below the directory, with forward slashes."""
    size: int
    """Bytes."""
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"the file {self.name!r} is outside of the directory")


@dataclass(frozen=True)
class StageRecord:
    """One stage of text processing of a field."""

    component: str
    """Catalog name (`subword/sentencepiece`); `module:ConfigClass` for one from outside the catalog."""
    options: dict[str, Any]
    files: list[FileRecord]


@dataclass(frozen=True)
class VocabularyRecord:
    file: FileRecord
    num_tokens: int
    """Size, special tokens included."""


@dataclass(frozen=True)
class FieldRecord:
    """One side of a split."""

    num_tokens: int
    """`</s>` included."""
    num_unknown: int
    tokens: FileRecord | None
    """None, as the index, in a directory that keeps the raw text only."""
    index: FileRecord | None
    raw: FileRecord
    """Text before all stages; line i belongs to example i."""


@dataclass(frozen=True)
class DroppedRecord:
    """Examples that a policy dropped or truncated."""

    count: int
    first_lines: list[int]
    """Up to 10 line numbers of the input, from 1; of several files they are counted through."""


@dataclass(frozen=True)
class AlignmentRecord:
    """Word alignments of a split: for each example the tokens `i j i j ...` of its pairs."""

    num_pairs: int
    tokens: FileRecord
    index: FileRecord


@dataclass(frozen=True)
class SplitRecord:
    num_examples: int
    fields: dict[str, FieldRecord]
    dropped: dict[str, DroppedRecord]
    """By reason: `empty`, `long`; `truncated` examples are kept, cut."""
    alignments: AlignmentRecord | None = None
    """None, and then not in the file, where there are none."""


@dataclass(frozen=True)
class Manifest:
    kind: str
    """Kind of corpus: `parallel` or `text`."""
    fields: list[str]
    """The source first."""
    source: str
    """Field, and language, of the source."""
    target: str | None
    """Field, and language, of the target; None if there is none."""
    stages: dict[str, list[StageRecord]]
    """Of each field, in order."""
    joint_vocabulary: bool
    vocabularies: dict[str, VocabularyRecord]
    """Of each field; with a joint vocabulary they name the same file."""
    splits: dict[str, SplitRecord]
    definition: str
    """Hash of the options and of the inputs' content; data with the same definition need not be made again."""
    format_version: int = field(default=FORMAT_VERSION)

    def identity(self) -> str:
        """SHA-256 of the content: everything but the definition, which may name the same result differently."""
        return hash_of({name: value for name, value in self._content().items() if name != "definition"})

    def text_files(self) -> list[FileRecord]:
        """The files that turn text into indices and back: stages and vocabularies, each once."""
        stages = [file for stages in self.stages.values() for stage in stages for file in stage.files]
        return list(dict.fromkeys([*stages, *(vocabulary.file for vocabulary in self.vocabularies.values())]))

    def files(self) -> list[FileRecord]:
        """All files of the directory but the manifest."""
        sides = [side for split in self.splits.values() for side in split.fields.values()]
        alignments = [split.alignments for split in self.splits.values() if split.alignments is not None]
        files = [file for side in sides for file in (side.tokens, side.index, side.raw)]
        files += [file for pairs in alignments for file in (pairs.tokens, pairs.index)]
        return self.text_files() + [file for file in files if file is not None]

    def save(self, directory: Path) -> None:
        write_json(directory / MANIFEST, {"format_version": self.format_version, **self._content()})

    def _content(self) -> dict[str, Any]:
        content = dataclasses.asdict(self)
        for split in content["splits"].values():
            if split["alignments"] is None:
                del split["alignments"]
        return content

    @classmethod
    def load(cls, directory: Path) -> "Manifest":
        """
        Raises:
            UserError: there is no manifest, it is of another version, or not valid.
        """
        path = directory / MANIFEST
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{directory}: not a prepared data directory, {MANIFEST}: {error.strerror}") from error
        except ValueError as error:
            raise UserError(f"{path}: not valid JSON: {error}") from error
        version = value.get("format_version") if isinstance(value, dict) else None
        if version != FORMAT_VERSION:
            readable = f"this code reads {FORMAT_VERSION}"
            raise UserError(f"{path}: format_version={version}, {readable}; prepare the data again")
        try:
            return parse_record(cls, value, "manifest")
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error

    def verify(self, directory: Path, *, checksums: bool = True) -> None:
        """Compare every file with its record: the size, and with `checksums` the content.

        Raises:
            UserError: a file is missing or differs.
        """
        for record in self.files():
            verify_file(directory, record, checksum=checksums)


def verify_file(directory: Path, record: FileRecord, *, checksum: bool = True) -> None:
    """Compare a file with its record.

    Raises:
        UserError: it is missing or differs.
    """
    path = directory / record.name
    try:
        size = path.stat().st_size
        if size != record.size:
            raise UserError(f"{path}: it has {size} bytes, the manifest says {record.size}; prepare the data again")
        if checksum and sha256_of_file(path) != record.sha256:
            raise UserError(f"{path}: the content differs from the manifest's checksum; prepare the data again")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def file_record(directory: Path, name: str) -> FileRecord:
    """The record of a file that is there."""
    path = directory / name
    return FileRecord(name, path.stat().st_size, sha256_of_file(path))


def hash_of(value: Any) -> str:
    """SHA-256 of a JSON value; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode("utf-8")).hexdigest()


def parse_record(kind: type[Record], value: Any, where: str) -> Record:
    """A dataclass of this module from JSON.

    Raises:
        ValueError: the JSON does not fit; the message begins with its place.
    """
    return typing.cast(Record, _parse(kind, value, where))


def _parse(kind: Any, value: Any, where: str) -> Any:
    """A value of the type `kind` from JSON.

    Raises:
        ValueError: the JSON does not fit; the message begins with its place.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _parse_record(kind, value, where)
    if origin is list:
        return [_parse(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(_checked(list, value, where))]
    if origin is dict:
        items = _checked(dict, value, where).items()
        return {name: _parse(arguments[1], item, f"{where}.{name}") for name, item in items}
    if type(None) in arguments:
        return None if value is None else _parse(arguments[0], value, where)
    return value if kind is Any else _checked(kind, value, where)


def _parse_record(kind: Any, value: Any, where: str) -> Any:
    types = typing.get_type_hints(kind)
    given = _checked(dict, value, where)
    optional = {each.name for each in dataclasses.fields(kind) if each.default is None}
    for name in types.keys() - given.keys() - optional:
        raise ValueError(f"{where}.{name} is missing")
    for name in given.keys() - types.keys():
        raise ValueError(f"{where}.{name} is not known")
    return kind(**{name: _parse(types[name], item, f"{where}.{name}") for name, item in given.items()})


def _checked(kind: Any, value: Any, where: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{where} must be {kind.__name__}, not {value!r:.40}")
    return value
