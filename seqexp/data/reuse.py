"""Text stages and vocabularies of another data directory, taken as they are."""

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqexp.data.manifest import Manifest, StageRecord, verify_file
from seqexp.data.stages import Catalog, stage_name, stage_options
from seqexp.data.vocabularies import VocabularyConfig
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.base import TokenizerConfig


class Reused:
    """A data directory, or the `task` directory of a checkpoint, that text stages and vocabularies come from."""

    def __init__(self, directory: Path) -> None:
        """
        Raises:
            UserError: it is no such directory, or a file of it is damaged.
        """
        self.directory = directory
        self.manifest = Manifest.load(directory)
        for record in self.manifest.text_files():
            verify_file(directory, record)

    def check(
        self,
        fields: Sequence[str],
        stages: Mapping[str, TokenizerConfig],
        vocabulary: VocabularyConfig,
        catalog: Catalog,
    ) -> None:
        """
        Raises:
            UserError: it lacks a language, or was made with other text stages or kinds of vocabulary than are asked for
                now.
        """
        # One language of two is enough: a language model of what a translation model writes.
        if [field for field in self.manifest.fields if field in fields] != list(fields):
            self._refuse("languages", ", ".join(self.manifest.fields), ", ".join(fields))
        if self.manifest.joint_vocabulary != vocabulary.joint:
            self._refuse("vocabulary.joint", self.manifest.joint_vocabulary, vocabulary.joint)
        if vocabulary.source or vocabulary.target:
            raise UserError(
                f"reuse={self.directory}: its vocabularies are taken; leave vocabulary.source and .target out"
            )
        for field in fields:
            for record, (group, config) in zip(self.manifest.stages[field], stages.items(), strict=True):
                self._check_stage(record, group, config, catalog)

    def _check_stage(self, record: StageRecord, group: str, config: TokenizerConfig, catalog: Catalog) -> None:
        name = stage_name(config, group, catalog)
        if record.component != name:
            self._refuse(group, record.component, name)
        options = stage_options(config)
        for key in sorted(options.keys() | record.options.keys()):
            if options.get(key) != record.options.get(key):
                self._refuse(f"{group}.{key}", record.options.get(key), options.get(key))

    def _refuse(self, key: str, there: object, here: object) -> None:
        raise UserError(f"reuse={self.directory} was made with {key}={there}, not {here}; give the same options")

    def copy_stage(self, files: Sequence[str], directory: Path) -> tuple[None, list[Path]]:
        """Copy the files of a stage, for a ledger."""
        for name in files:
            shutil.copyfile(self.directory / name, directory / name)
        return None, [directory / name for name in files]

    def vocabulary_files(self, fields: Sequence[str]) -> dict[str, Path]:
        """By field."""
        return {field: self.directory / self.manifest.vocabularies[field].file.name for field in fields}

    def content(self) -> list[Any]:
        """What makes a difference to the data prepared with it."""
        return [dataclasses.asdict(record) for record in self.manifest.text_files()]
