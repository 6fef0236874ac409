"""The library of the `preprocess` command: a corpus to a data directory."""

import contextlib
import dataclasses
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import MISSING

from seqexp.config.base import CommandConfig, require
from seqexp.config.build import build
from seqexp.corpora.base import Corpus, CorpusConfig
from seqexp.data.assembly import TRAIN, Assembly, VocabularyConfig
from seqexp.data.binarize import StageSpec
from seqexp.data.manifest import FORMAT_VERSION, MANIFEST, Manifest, hash_of
from seqexp.data.policies import LinePolicyConfig, LongLines
from seqexp.data.stages import Catalog, stage_name, stage_options
from seqexp.data.text import TextFile, Workers, inspect
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import flush_to_disk, sha256_of_file
from seqexp.tokenizers.base import TokenizerConfig

Inputs = Mapping[str, Mapping[str, TextFile]]
"""By split and field."""


@dataclass
class PrepareConfig(CommandConfig):
    """From a corpus to a data directory."""

    corpus: CorpusConfig = MISSING
    tokenizer: TokenizerConfig = MISSING
    """First text stage: words and punctuation."""
    subword: TokenizerConfig = MISSING
    """Second text stage: pieces of words."""
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    lines: LinePolicyConfig = field(default_factory=LinePolicyConfig)
    stores: bool = True
    """Write all text as token indices too; `false` keeps the raw text only, and every run encodes it when it starts."""
    destination: str = MISSING
    """The data directory to make."""
    num_workers: int | None = None
    """Processes; null for as many as there are processors to use. The result does not depend on it."""
    overwrite: bool = False
    """Replace a data directory at `destination` that was made from other options or text."""

    def __post_init__(self) -> None:
        cut = self.lines.long is LongLines.truncate and not self.stores
        require(not cut, "lines.long", "truncate", "with stores=false lines are kept as they are: drop, or error")
        require(self.num_workers is None or self.num_workers > 0, "num_workers", self.num_workers, "positive, or null")

    def stages(self) -> dict[str, TokenizerConfig]:
        """The text stages by their catalog group, in order."""
        return {"tokenizer": self.tokenizer, "subword": self.subword}


@dataclass(frozen=True)
class Prepared:
    """A data directory."""

    directory: Path
    manifest: Manifest
    is_new: bool
    """False if it was there already, made from the same options and text."""

    def summary(self) -> str:
        """A small table for the user, a line for each side of each split."""
        rows = [["split", "field", "sentences", "tokens", "unknown", "dropped"]]
        for name, split in self.manifest.splits.items():
            for side, record in split.fields.items():
                unknown = f"{record.num_unknown / max(record.num_tokens, 1):.2%}"
                dropped = ", ".join(f"{entry.count:,} {reason}" for reason, entry in split.dropped.items()) or "0"
                rows.append([name, side, f"{split.num_examples:,}", f"{record.num_tokens:,}", unknown, dropped])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        return "\n".join(lines)


def prepare(config: PrepareConfig, catalog: Catalog) -> Prepared:
    """Make the data directory `config.destination`.

    All work is done in a hidden directory beside it, which takes its name at the end: there is never a part of one, and
    an interruption leaves nothing. A directory that was made from the same options and text is left as it is.

    Args:
        catalog: names of the stages' config classes, `{group: {name: "module:ConfigClass"}}`, for the manifest.

    Raises:
        UserError: the text or the options are not valid, or the destination holds something else.
    """
    destination = Path(config.destination)
    _refuse_other_content(destination)
    corpus: Corpus = build(config.corpus)
    with (
        _unwound_when_terminated(),
        _temporary_directory(destination) as directory,
        Workers(config.num_workers) as workers,
    ):
        scratch = directory / "scratch"
        scratch.mkdir()
        inputs = _inspect(corpus.splits(scratch), workers)
        definition = _definition(config, corpus, inputs, catalog, directory)
        existing = _existing(destination, definition, config.overwrite)
        if existing is not None:
            return Prepared(destination, existing, is_new=False)
        manifest = _assemble(config, corpus, inputs, directory, workers, catalog, definition)
        shutil.rmtree(scratch)
        manifest.save(directory)
        _publish(directory, destination)
    return Prepared(destination, manifest, is_new=True)


def _inspect(paths: Mapping[str, Mapping[str, Path]], workers: Workers) -> Inputs:
    """Look at all text before any work is done on it."""
    files = [path for fields in paths.values() for path in fields.values()]
    found = dict(zip(files, workers.map(inspect, files), strict=True))
    inputs = {split: {name: found[path] for name, path in fields.items()} for split, fields in paths.items()}
    for fields in inputs.values():
        first, *others = fields.values()
        for other in others:
            if other.num_lines != first.num_lines:
                counts = f"{first.num_lines} lines, {other.path} has {other.num_lines}"
                raise UserError(f"{first.path} has {counts}; line i of each must belong to the same example")
    first = next(iter(inputs[TRAIN].values()))
    if first.num_lines == 0:
        raise UserError(f"{first.path} is empty: there is nothing to train on")
    return inputs


def _definition(config: PrepareConfig, corpus: Corpus, inputs: Inputs, catalog: Catalog, directory: Path) -> str:
    """Hash of all that determines the result; paths do not, the content of files does."""
    stages = config.stages()
    fields = corpus.fields()
    specs = [StageSpec(stage, directory, name) for name in fields for stage in stages.values()]
    read = [path for spec in specs for path in spec.build().inputs()]
    read += config.vocabulary.given(fields).values()
    content = {
        "format_version": FORMAT_VERSION,
        "kind": corpus.kind,
        "fields": fields,
        "stages": [[stage_name(stage, group, catalog), stage_options(stage)] for group, stage in stages.items()],
        "vocabulary": dataclasses.asdict(dataclasses.replace(config.vocabulary, source=None, target=None)),
        "stores": config.stores,
        "lines": dataclasses.asdict(config.lines),
        "inputs": {split: {name: file.sha256 for name, file in fields.items()} for split, fields in inputs.items()},
        "files": [_hash_of_input(path) for path in read],
    }
    return hash_of(content)


def _hash_of_input(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _assemble(
    config: PrepareConfig,
    corpus: Corpus,
    inputs: Inputs,
    directory: Path,
    workers: Workers,
    catalog: Catalog,
    definition: str,
) -> Manifest:
    """Make all files but the manifest."""
    fields = corpus.fields()
    raw = {split: {name: file.path for name, file in files.items()} for split, files in inputs.items()}
    assembly = Assembly(fields, raw, directory, directory / "scratch", workers)
    stages, texts = assembly.run_stages(config.stages(), catalog)
    vocabularies = assembly.make_vocabularies(config.vocabulary, texts[TRAIN])
    splits = {
        split: assembly.make_split(split, texts[split], vocabularies, config.lines, stores=config.stores)
        for split in texts
    }
    return Manifest(
        kind=corpus.kind,
        fields=fields,
        source=fields[0],
        target=fields[1] if len(fields) > 1 else None,
        stages=stages,
        joint_vocabulary=config.vocabulary.joint,
        vocabularies=assembly.vocabulary_records(config.vocabulary, vocabularies),
        splits=splits,
        definition=definition,
    )


# The destination


def _refuse_other_content(destination: Path) -> None:
    """Never replace something that is not a data directory."""
    if not destination.exists() or (destination / MANIFEST).exists():
        return
    if not destination.is_dir() or any(destination.iterdir()):
        raise UserError(f"destination={destination} exists and is not a data directory; choose another name")


def _existing(destination: Path, definition: str, overwrite: bool) -> Manifest | None:
    """The manifest of a data directory that is as it would be made; None if it is to be made."""
    if not (destination / MANIFEST).exists():
        return None
    try:
        manifest = Manifest.load(destination)
        if manifest.definition == definition:
            manifest.verify(destination, checksums=overwrite)
            return manifest
    except UserError as error:
        if not overwrite:
            raise UserError(f"{error} (overwrite=true replaces it)") from error
    if not overwrite:
        raise UserError(
            f"destination={destination} was made from other options or text: choose another name or set overwrite=true"
        )
    return None


@contextlib.contextmanager
def _unwound_when_terminated() -> Iterator[None]:
    """SIGTERM, by which a batch system ends a job, cleans up as Ctrl-C does."""
    is_ours = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )
    if not is_ours:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _temporary_directory(destination: Path) -> Iterator[Path]:
    """A new directory beside the destination, gone afterwards unless it was renamed."""
    directory = _beside(destination)
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"destination={destination}: {directory.parent} cannot be written: {error.strerror}") from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _publish(directory: Path, destination: Path) -> None:
    """Give the finished directory its name; an old one is moved out of the way first and deleted last."""
    for path in [*directory.rglob("*"), directory]:
        flush_to_disk(path)
    old = _beside(destination)
    if destination.exists():
        destination.rename(old)
    directory.rename(destination)
    flush_to_disk(destination.parent)
    shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path) -> Path:
    absolute = path.absolute()
    return absolute.with_name(f".{absolute.name}.{uuid.uuid4().hex[:8]}.tmp")
