"""The text stages and vocabularies of a data directory: saved by catalog name, rebuilt from it."""

import importlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqexp.config.base import ComponentConfig
from seqexp.config.build import build
from seqexp.config.saved import COMPONENT, from_saved, to_saved
from seqexp.data.manifest import MANIFEST, Manifest, StageRecord, VocabularyRecord, file_record, verify_file
from seqexp.data.vocabulary import EOS, Vocabulary
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig

Catalog = Mapping[str, Mapping[str, str]]
"""`{group: {name: "module:ConfigClass"}}`."""


class TextStages:
    """The stages of one field as one: text to tokens and back."""

    def __init__(self, stages: Sequence[Tokenizer]) -> None:
        self.stages = list(stages)

    def encode(self, line: str) -> str:
        """One line of text as tokens separated by single spaces."""
        return self.encode_lines([line])[0]

    def encode_lines(self, lines: list[str]) -> list[str]:
        for stage in self.stages:
            lines = stage.encode_lines(lines)
        return lines

    def word_starts(self, tokens: Sequence[str]) -> list[bool]:
        """For each token of a line whether a word begins with it; `</s>` is one.

        Raises:
            UserError: the last stage does not tell.
        """
        starts = self.stages[-1].word_starts(tokens)
        if starts is None:
            raise UserError(f"the tokens of {type(self.stages[-1]).__name__} do not tell where words begin")
        return [begins or token == EOS for begins, token in zip(starts, tokens, strict=True)]

    def decode(self, tokens: str) -> str:
        """Text from tokens separated by single spaces."""
        for stage in reversed(self.stages):
            tokens = stage.decode(tokens)
        return tokens

    def joined(self, tokens: str) -> str:
        """The same with the last stage alone undone, the subwords; with a single stage, all of it."""
        return self.stages[-1].decode(tokens) if self.stages else tokens


def stage_name(config: TokenizerConfig, group: str, catalog: Catalog) -> str:
    """The catalog name of a config, `group/name`; `module:ConfigClass` if it is not in the catalog."""
    path = f"{type(config).__module__}:{type(config).__qualname__}"
    for name_of_group in (group, *catalog):  # another group may have it under a name of its own
        for name, known in catalog.get(name_of_group, {}).items():
            if known == path:
                return f"{name_of_group}/{name}"
    return path


def stage_options(config: TokenizerConfig) -> dict[str, Any]:
    """The options of a stage as plain JSON."""
    saved: dict[str, Any] = to_saved(config.portable(), lambda config_class: config_class.__qualname__)
    return {name: value for name, value in saved.items() if name != COMPONENT}


def stage_record(
    config: TokenizerConfig, stage: Tokenizer, group: str, catalog: Catalog, directory: Path
) -> StageRecord:
    """What the manifest says of a stage."""
    files = [file_record(directory, name) for name in stage.files()]
    return StageRecord(stage_name(config, group, catalog), stage_options(config), files)


def stage_config(record: StageRecord, catalog: Catalog, trust: Sequence[str] = ()) -> TokenizerConfig:
    """The config of a saved stage. The class comes from the catalog, or is one that the caller names in `trust`.

    Raises:
        UserError: the stage is of neither, or its options are not those of the class.
    """

    def config_class(component: str) -> type[ComponentConfig]:
        group, _, name = component.partition("/")
        location = catalog.get(group, {}).get(name) or (component if component in trust else None)
        if location is None:
            raise UserError(f"text stage {component} is not in the catalog; if you trust it, name it in trust=")
        return _import(location)

    return from_saved({**record.options, COMPONENT: record.component}, TokenizerConfig, config_class, MANIFEST)


def _import(location: str) -> type[ComponentConfig]:
    module, _, attribute = location.partition(":")
    try:
        found: type[ComponentConfig] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"text stage {location} cannot be imported: {error}") from error
    return found


def load_stages(
    directory: Path, manifest: Manifest, field: str, catalog: Catalog, trust: Sequence[str] = ()
) -> TextStages:
    """The text stages of a field of a data directory (or of a copy by `copy_text_files`).

    Raises:
        UserError: a stage is not in the catalog, or a file of it is missing or differs from the manifest.
    """
    stages = []
    for record in manifest.stages[field]:
        for file in record.files:
            verify_file(directory, file)
        stages.append(build(stage_config(record, catalog, trust), directory=directory, language=field))
    return TextStages(stages)


def load_vocabulary(directory: Path, manifest: Manifest, field: str) -> Vocabulary:
    """The vocabulary of a field.

    Raises:
        UserError: its file is missing or differs from the manifest.
    """
    record: VocabularyRecord = manifest.vocabularies[field]
    verify_file(directory, record.file)
    return Vocabulary.load(directory / record.file.name)


def copy_text_files(directory: Path, destination: Path) -> None:
    """Copy what turns text into indices and back, with the manifest, e.g. into a checkpoint."""
    for record in Manifest.load(directory).text_files():
        target = destination / record.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(directory / record.name, target)
    shutil.copyfile(directory / MANIFEST, destination / MANIFEST)
