"""The steps from raw text to the files of a data directory."""

import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqexp.config.base import require
from seqexp.data.binarize import BinarizedField, StageSpec, binarize_split, count_tokens, encode_text
from seqexp.data.manifest import FieldRecord, SplitRecord, StageRecord, VocabularyRecord, file_record
from seqexp.data.policies import LinePolicyConfig, Selection
from seqexp.data.progress import progress
from seqexp.data.stages import Catalog, stage_record
from seqexp.data.text import Chunk, Workers, copy_lines, read_lines
from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig

TRAIN = "train"

logger = logging.getLogger(__name__)

Texts = Mapping[str, Mapping[str, Path]]
"""By split and field."""
Waiting = dict[str, list[tuple[StageSpec, Tokenizer]]]
"""By field, the stages that are yet to be applied."""


@dataclass
class VocabularyConfig:
    """Which tokens have an index. The training text is counted, unless a vocabulary is given."""

    joint: bool = True
    """One vocabulary for all fields."""
    threshold: int = 0
    """Tokens that occur less often are unknown."""
    max_size: int | None = None
    """At most so many tokens, special ones included, the most frequent; null for all."""
    multiple_of: int = 8
    """The size is filled up to a multiple of this with tokens that never occur; 1 for no filling."""
    source: str | None = None
    """An existing dictionary file for the source, and with `joint` for all fields."""
    target: str | None = None
    """An existing dictionary file for the target. Not together with `joint`, which needs one file."""

    def __post_init__(self) -> None:
        size = self.max_size
        require(size is None or size > 4, "max_size", size, "more than 4, or null")
        require(self.multiple_of > 0, "multiple_of", self.multiple_of, "a positive number")
        both = self.joint and self.target is not None
        require(not both, "target", self.target, "a joint vocabulary is given by vocabulary.source")

    def given(self, fields: Sequence[str]) -> dict[str, Path]:
        """The existing file of each field that has one."""
        files = [self.source] * len(fields) if self.joint else [self.source, self.target]
        return {field: Path(file) for field, file in zip(fields, files, strict=False) if file is not None}


class Assembly:
    """Makes the files of one data directory, step by step."""

    def __init__(self, fields: list[str], inputs: Texts, directory: Path, scratch: Path, workers: Workers) -> None:
        """
        Args:
            inputs: raw text; the fields of a split have equally many lines.
            directory: where the data directory's files are written.
            scratch: directory for temporary files, its path never used before in this process.
        """
        self.fields = fields
        self.inputs = inputs
        self.directory = directory
        self.scratch = scratch
        self.workers = workers

    # Text stages

    def run_stages(
        self, configs: Mapping[str, TokenizerConfig], catalog: Catalog
    ) -> tuple[dict[str, list[StageRecord]], Texts]:
        """Train the stages, in order, and apply them to all text.

        Args:
            configs: the config of each stage by its catalog group.

        Returns:
            Each field's stages for the manifest, and the tokenised text. Stages that need not be trained wait for one
            that must, or for the end, so that text is written seldom.
        """
        texts = self.inputs
        waiting: Waiting = {field: [] for field in self.fields}
        records: dict[str, list[StageRecord]] = {field: [] for field in self.fields}
        for group, config in configs.items():
            specs = {field: StageSpec(config, self.directory, field) for field in self.fields}
            stages = {field: spec.build() for field, spec in specs.items()}
            if any(stage.files() for stage in stages.values()):
                texts = self._apply(waiting, texts, group)
                self._train(stages, texts[TRAIN], group)
            for field, stage in stages.items():
                waiting[field].append((specs[field], stage))
                records[field].append(stage_record(config, stage, group, catalog, self.directory))
        return records, self._apply(waiting, texts, "final")

    def _train(self, stages: Mapping[str, Tokenizer], texts: Mapping[str, Path], group: str) -> None:
        """Train each stage once: fields whose stages have the same files share it."""
        sharing: dict[tuple[str, ...], list[str]] = {}
        for field, stage in stages.items():
            sharing.setdefault(tuple(stage.files()), []).append(field)
        for files, fields in sharing.items():
            if files:
                with progress(f"training {group} on {' and '.join(fields)}", None):
                    stages[fields[0]].train(_lines([texts[field] for field in fields]))

    def _apply(self, waiting: Waiting, texts: Texts, name: str) -> Texts:
        """Apply the stages that wait, unless that changes nothing, and empty the lists."""
        if all(stage.is_identity for stages in waiting.values() for _, stage in stages):
            return texts
        results: dict[str, dict[str, Path]] = {split: {} for split in texts}
        for split, paths in texts.items():
            for field, path in paths.items():
                results[split][field] = self.scratch / f"{name}.{split}.{field}"
                specs = [spec for spec, _ in waiting[field]]
                encode_text(path, specs, results[split][field], self.workers, f"encoding {split}.{field}")
        for stages in waiting.values():
            stages.clear()
        return results

    # Vocabularies

    def make_vocabularies(self, config: VocabularyConfig, texts: Mapping[str, Path]) -> dict[str, Vocabulary]:
        """Count or load the vocabulary of each field, and save it."""
        given = {field: Vocabulary.load(path) for field, path in config.given(self.fields).items()}
        groups = [self.fields] if config.joint else [[field] for field in self.fields]
        vocabularies: dict[str, Vocabulary] = {}
        for fields in groups:
            vocabulary = given.get(fields[0]) or self._count(config, [texts[field] for field in fields])
            vocabulary.save(self.directory / self._vocabulary_name(config, fields[0]))
            vocabularies.update(dict.fromkeys(fields, vocabulary))
        return vocabularies

    def vocabulary_records(
        self, config: VocabularyConfig, vocabularies: Mapping[str, Vocabulary]
    ) -> dict[str, VocabularyRecord]:
        records = {}
        for field, vocabulary in vocabularies.items():
            file = file_record(self.directory, self._vocabulary_name(config, field))
            records[field] = VocabularyRecord(file, len(vocabulary))
        return records

    def _count(self, config: VocabularyConfig, paths: list[Path]) -> Vocabulary:
        counts = count_tokens(paths, self.workers)
        return Vocabulary.from_counts(
            counts, threshold=config.threshold, max_size=config.max_size, multiple_of=config.multiple_of
        )

    def _vocabulary_name(self, config: VocabularyConfig, field: str) -> str:
        return "vocabulary.txt" if config.joint else f"vocabulary.{field}.txt"

    # Splits

    def make_split(
        self,
        split: str,
        texts: Mapping[str, Path],
        vocabularies: Mapping[str, Vocabulary],
        policy: LinePolicyConfig,
        *,
        stores: bool,
    ) -> SplitRecord:
        """Binarize a split and copy its raw text; without `stores` the indices are only counted.

        Raises:
            UserError: the policy refuses a line, or leaves none of the train split.
        """
        inputs = self.inputs[split]
        prefix = self.directory / split
        is_train = split == TRAIN
        figures, selection = binarize_split(
            texts, inputs, vocabularies, prefix, policy, self.workers, self.scratch, is_train=is_train
        )
        num_examples = figures[self.fields[0]].num_sequences
        if is_train and num_examples == 0:
            raise UserError(f"{inputs[self.fields[0]]}: the `lines` policy leaves no example to train on")
        fields = self._field_records(split, inputs, figures, selection, stores=stores)
        return SplitRecord(num_examples, fields, selection.dropped)

    def _field_records(
        self,
        split: str,
        inputs: Mapping[str, Path],
        figures: Mapping[str, BinarizedField],
        selection: Selection,
        *,
        stores: bool,
    ) -> dict[str, FieldRecord]:
        (self.directory / "raw").mkdir(exist_ok=True)
        kept = selection.kept()
        names = []
        for field, path in inputs.items():
            copy_lines(path, self.directory / "raw" / f"{split}.{field}", kept)
            store = [f"{split}.{field}.bin", f"{split}.{field}.idx"]
            if not stores:
                for name in store:
                    (self.directory / name).unlink()
            names += [f"raw/{split}.{field}", *(store if stores else [])]
        files = {
            record.name: record for record in self.workers.map(functools.partial(file_record, self.directory), names)
        }
        return {
            field: FieldRecord(
                num_tokens=found.num_tokens,
                num_unknown=found.num_unknown,
                tokens=files.get(f"{split}.{field}.bin"),
                index=files.get(f"{split}.{field}.idx"),
                raw=files[f"raw/{split}.{field}"],
            )
            for field, found in figures.items()
        }


def _lines(paths: Sequence[Path]) -> Iterator[str]:
    """All lines of some files, white space normalised."""
    for path in paths:
        for lines in read_lines(Chunk(path, 0, path.stat().st_size)):
            yield from (" ".join(line.split()) for line in lines)
