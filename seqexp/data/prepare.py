"""The library of the `preprocess` command: a corpus to a data directory."""

import contextlib
import dataclasses
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seqexp.config.base import CommandConfig, require
from seqexp.config.build import build
from seqexp.corpora.base import TRAIN, Corpus, CorpusConfig
from seqexp.data.alignments import read_alignments
from seqexp.data.assembly import Assembly, SplitParts
from seqexp.data.binarize import StageSpec, Texts, binarize_texts
from seqexp.data.ledger import Ledger
from seqexp.data.manifest import FORMAT_VERSION, MANIFEST, Manifest, SplitRecord, hash_of
from seqexp.data.policies import LinePolicyConfig, LongLines
from seqexp.data.reuse import Reused
from seqexp.data.stages import Catalog, stage_name, stage_options
from seqexp.data.summary import SUMMARY, load_summary, show
from seqexp.data.text import Text, Workers, inspect_files
from seqexp.data.vocabularies import VocabularyConfig, make_vocabularies, vocabulary_records
from seqexp.data.vocabulary import Vocabulary
from seqexp.data.workspace import Workspace
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import sha256_of_file, write_json
from seqexp.tokenizers.base import TokenizerConfig


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
    reuse: str | None = None
    """A data directory whose trained text stages and vocabularies are taken instead of learning new ones; it must have
    been made with the same stages and options. null: learn from the train split."""
    destination: str = MISSING
    """The data directory to make."""
    num_workers: int | None = None
    """Processes; null for as many as there are processors to use. The result does not depend on it."""
    overwrite: bool = False
    """Replace a data directory at `destination` that was made from other options or text."""

    def __post_init__(self) -> None:
        cut = self.lines.long is LongLines.truncate and not self.stores
        require(not cut, "lines.long", "truncate", "with stores=false lines are kept as they are: drop, or error")
        is_positive = self.num_workers is None or self.num_workers > 0
        require(is_positive, "num_workers", self.num_workers, "positive, or null")

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

    figures: dict[str, Any]
    """Content of `summary.json`."""

    def summary(self) -> str:
        """A small table for the user, a line for each side of each split, and what was dropped."""
        return show(self.figures, self.directory)


@dataclass(frozen=True)
class Inputs:
    """What a data directory is made of."""

    fields: list[str]
    texts: dict[str, dict[str, Text]]
    """By split and field."""
    alignments: dict[str, Text]
    """By split, where there are any."""
    vocabularies: dict[str, Vocabulary]
    """Those that are given, by field."""
    reused: Reused | None


def prepare(config: PrepareConfig, catalog: Catalog) -> Prepared:
    """Make the data directory `config.destination`.

    All work is done in a hidden directory beside it, part of which takes its name at the end: there is never half a
    data directory. After an interruption the same call goes on with what is finished. A directory that was made from
    the same options and text is left as it is.

    Args:
        catalog: names of the stages' config classes, `{group: {name: "module:ConfigClass"}}`, for the manifest.

    Raises:
        UserError: the text or the options are not valid, the destination holds something else, or another process
            prepares for it.
    """
    destination = Path(config.destination)
    _refuse_other_content(destination)
    corpus: Corpus = build(config.corpus)
    with (
        _unwound_when_terminated(),
        Workers(config.num_workers) as workers,  # before the lease, whose thread a fork would not survive
        Workspace(destination) as workspace,
    ):
        inputs = _inspect(config, corpus, catalog, workspace.generated, workers)
        definition = _definition(config, corpus.kind, inputs, catalog)
        existing = _existing(destination, definition, config.overwrite)
        if existing is not None:
            workspace.discard(definition)
            return existing
        ledger = workspace.open(definition, workers)
        manifest, figures = _assemble(config, corpus.kind, inputs, workspace, ledger, catalog, definition)
        write_json(workspace.data / SUMMARY, figures)
        manifest.save(workspace.data)
        workspace.publish()
    return Prepared(destination, manifest, True, figures)


# Before any work


def _inspect(config: PrepareConfig, corpus: Corpus, catalog: Catalog, generated: Path, workers: Workers) -> Inputs:
    """Look at everything that is read.

    Raises:
        UserError: something is missing, or does not fit together.
    """
    fields = corpus.fields()
    reused = None if config.reuse is None else Reused(Path(config.reuse))
    if reused is not None:
        reused.check(fields, config.stages(), config.vocabulary, catalog)
    given = config.vocabulary.given(fields) if reused is None else reused.vocabulary_files(fields)
    vocabularies = {name: Vocabulary.load(path) for name, path in given.items()}
    paths = corpus.splits(generated)
    alignments = corpus.alignments()
    if config.vocabulary.only:
        paths, alignments = {split: sides for split, sides in paths.items() if split == TRAIN}, {}
    if TRAIN not in paths:
        _refuse_learning(config, fields, vocabularies, reused)
    every_side = [*(side for sides in paths.values() for side in sides.values()), *alignments.values()]
    found = iter(inspect_files([path for side in every_side for path in side], workers, generated))
    texts = {
        split: {name: Text(tuple(next(found) for _ in side)) for name, side in sides.items()}
        for split, sides in paths.items()
    }
    pairs = {split: Text(tuple(next(found) for _ in side)) for split, side in alignments.items()}
    for split, sides in texts.items():
        _compare_lengths([*sides.values(), *([pairs[split]] if split in pairs else [])])
    return Inputs(fields, texts, pairs, vocabularies, reused)


def _refuse_learning(
    config: PrepareConfig, fields: list[str], vocabularies: Mapping[str, Vocabulary], reused: Reused | None
) -> None:
    """Without training text, whatever is learnt from it must be there."""
    stages = [StageSpec(stage, Path(), name).build() for name in fields for stage in config.stages().values()]
    learns = any(stage.files() and not stage.inputs() for stage in stages)
    if reused is None and (learns or len(vocabularies) < len(fields)):
        raise UserError("corpus.train=null: text stages and vocabularies are learnt from it; give it, or reuse=")


def _compare_lengths(sides: list[Text]) -> None:
    first, *others = sides
    for other in others:
        for one, two in zip(first.files, other.files, strict=True):
            if one.num_lines != two.num_lines:
                counts = f"{one.num_lines} lines, {two.path} has {two.num_lines}"
                raise UserError(f"{one.path} has {counts}; line i of each must belong to the same example")


def _definition(config: PrepareConfig, kind: str, inputs: Inputs, catalog: Catalog) -> str:
    """Hash of all that determines the result; paths do not, the content of files does."""
    stages = config.stages()
    specs = [StageSpec(stage, Path(), name) for name in inputs.fields for stage in stages.values()]
    content = {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "fields": inputs.fields,
        "stages": [[stage_name(stage, group, catalog), stage_options(stage)] for group, stage in stages.items()],
        "vocabulary": dataclasses.asdict(dataclasses.replace(config.vocabulary, source=None, target=None)),
        "stores": config.stores,
        "given": {name: hash_of([given.symbols, given.counts]) for name, given in inputs.vocabularies.items()},
        "lines": dataclasses.asdict(config.lines),
        "inputs": {
            split: {name: _hashes(text) for name, text in sides.items()} for split, sides in inputs.texts.items()
        },
        "alignments": {split: _hashes(text) for split, text in inputs.alignments.items()},
        "files": [_hash_of_input(path) for spec in specs for path in spec.build().inputs()],
        "reuse": None if inputs.reused is None else inputs.reused.content(),
    }
    return hash_of(content)


def _hashes(text: Text) -> list[str]:
    return [file.sha256 for file in text.files]


def _hash_of_input(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


# The work


def _assemble(
    config: PrepareConfig,
    kind: str,
    inputs: Inputs,
    workspace: Workspace,
    ledger: Ledger,
    catalog: Catalog,
    definition: str,
) -> tuple[Manifest, dict[str, Any]]:
    """Make all files but the manifest and the summary, and what stands in them."""
    fields, directory, scratch = inputs.fields, workspace.data, workspace.scratch
    assembly = Assembly(inputs.texts, directory, scratch, ledger)
    stages, texts = assembly.run_stages(fields, config.stages(), catalog, inputs.reused)
    vocabularies = make_vocabularies(
        config.vocabulary, fields, texts.get(TRAIN, {}), inputs.vocabularies, directory, scratch, ledger
    )
    records = vocabulary_records(config.vocabulary, vocabularies, directory)
    splits: dict[str, SplitRecord] = {}
    figures: dict[str, Any] = {}
    if not config.vocabulary.only:
        splits, figures = _make_splits(config, inputs, texts, assembly, vocabularies)
    manifest = Manifest(
        kind=kind,
        fields=fields,
        source=fields[0],
        target=fields[1] if len(fields) > 1 else None,
        stages=stages,
        joint_vocabulary=config.vocabulary.joint,
        vocabularies=records,
        splits=splits,
        definition=definition,
    )
    sizes = {record.file.name: record.num_tokens for record in records.values()}
    return manifest, {"vocabularies": sizes, "splits": figures}


def _make_splits(
    config: PrepareConfig,
    inputs: Inputs,
    texts: Texts,
    assembly: Assembly,
    vocabularies: Mapping[str, Vocabulary],
) -> tuple[dict[str, SplitRecord], dict[str, Any]]:
    binarized = binarize_texts(texts, vocabularies, assembly.scratch, assembly.ledger)
    pairs = read_alignments(inputs.alignments, assembly.scratch, assembly.ledger) if inputs.alignments else {}
    splits, figures = {}, {}
    for split in texts:
        parts = SplitParts(binarized[split], pairs.get(split))
        links = inputs.alignments.get(split)
        made = assembly.make_split(split, parts, vocabularies, config.lines, links, stores=config.stores)
        splits[split], figures[split] = made
    return splits, figures


# The destination


def _refuse_other_content(destination: Path) -> None:
    """Never replace something that is not a data directory."""
    if not destination.exists() or (destination / MANIFEST).exists():
        return
    if not destination.is_dir() or any(destination.iterdir()):
        raise UserError(f"destination={destination} exists and is not a data directory; choose another name")


def _existing(destination: Path, definition: str, overwrite: bool) -> Prepared | None:
    """The data directory that is as it would be made; None if it is to be made."""
    if not (destination / MANIFEST).exists():
        return None
    try:
        manifest = Manifest.load(destination)
        if manifest.definition == definition:
            manifest.verify(destination, checksums=overwrite)
            return Prepared(destination, manifest, False, load_summary(destination))
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
    """SIGTERM, by which a batch system ends a job, unwinds the stack as Ctrl-C does."""
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
