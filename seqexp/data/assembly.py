"""The steps from raw text to the files of a data directory."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.corpora.base import TRAIN
from seqexp.data.alignments import NAME as ALIGNMENTS
from seqexp.data.binarize import FINAL, StageSpec, Texts, encode_texts
from seqexp.data.indexed import index_path, token_path
from seqexp.data.ledger import Ledger
from seqexp.data.manifest import AlignmentRecord, FieldRecord, SplitRecord, StageRecord, file_record, parse_record
from seqexp.data.merge import MergedField, merge_alignments, merge_field, sizes_of
from seqexp.data.policies import LinePolicyConfig, Selection, Survey
from seqexp.data.progress import progress
from seqexp.data.reuse import Reused
from seqexp.data.stages import Catalog, stage_record
from seqexp.data.summary import dropped_summary, field_summary
from seqexp.data.text import Chunk, Text, copy_lines, read_lines
from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig

Waiting = dict[str, list[tuple[StageSpec, Tokenizer]]]
"""By field, the stages that are yet to be applied."""


@dataclass(frozen=True)
class SplitParts:
    """Stores of chunks that a split is made of."""

    fields: dict[str, list[Path]]
    alignments: list[Path] | None


class Assembly:
    """Makes the files of one data directory, step by step."""

    def __init__(
        self,
        inputs: Mapping[str, Mapping[str, Text]],
        directory: Path,
        scratch: Path,
        ledger: Ledger,
    ) -> None:
        """
        Args:
            inputs: raw text by split and field; the fields of a split have equally many lines.
            directory: where the data directory's files are written.
            scratch: directory for temporary files.
            ledger: of what is done already.
        """
        self.inputs = inputs
        self.directory = directory
        self.scratch = scratch
        self.ledger = ledger

    # Text stages

    def run_stages(
        self, fields: Sequence[str], configs: Mapping[str, TokenizerConfig], catalog: Catalog, reused: Reused | None
    ) -> tuple[dict[str, list[StageRecord]], Texts]:
        """Train the stages, in order, and apply them to all text.

        Args:
            configs: the config of each stage by its catalog group.
            reused: where their files come from; None to train them.

        Returns:
            Each field's stages for the manifest, and the tokenised text. Stages that need not be trained wait for one
            that must, or for the end, so that text is written seldom.
        """
        texts: Texts = {
            split: {name: text.chunks for name, text in sides.items()} for split, sides in self.inputs.items()
        }
        waiting: Waiting = {field: [] for field in fields}
        records: dict[str, list[StageRecord]] = {field: [] for field in fields}
        for group, config in configs.items():
            specs = {field: StageSpec(config, self.directory, field) for field in fields}
            stages = {field: spec.build() for field, spec in specs.items()}
            if any(stage.files() for stage in stages.values()):
                texts = texts if reused else self._apply(waiting, texts, group)
                self._obtain(stages, texts.get(TRAIN, {}), group, reused)
            for field, stage in stages.items():
                waiting[field].append((specs[field], stage))
                records[field].append(stage_record(config, stage, group, catalog, self.directory))
        return records, self._apply(waiting, texts, FINAL)

    def _obtain(
        self, stages: Mapping[str, Tokenizer], texts: Mapping[str, Sequence[Chunk]], group: str, reused: Reused | None
    ) -> None:
        """Train each stage once: fields whose stages have the same files share it."""
        sharing: dict[tuple[str, ...], list[str]] = {}
        for field, stage in stages.items():
            sharing.setdefault(tuple(stage.files()), []).append(field)
        for files, fields in sharing.items():
            if not files:
                continue
            if reused is not None:
                obtain = functools.partial(reused.copy_stage, files, self.directory)
            else:
                obtain = functools.partial(self._train, stages[fields[0]], texts, group, fields)
            self.ledger.once(f"stage.{group}.{'.'.join(files)}", obtain)

    def _train(
        self, stage: Tokenizer, texts: Mapping[str, Sequence[Chunk]], group: str, fields: Sequence[str]
    ) -> tuple[None, list[Path]]:
        chunks = [chunk for field in fields for chunk in texts.get(field, [])]
        with progress(f"training {group} on {' and '.join(fields)}", None):
            stage.train(_lines(chunks))
        return None, [self.directory / name for name in stage.files()]

    def _apply(self, waiting: Waiting, texts: Texts, step: str) -> Texts:
        """Apply the stages that wait, unless that changes nothing, and empty the lists."""
        if all(stage.is_identity for stages in waiting.values() for _, stage in stages):
            return texts
        specs = {field: [spec for spec, _ in stages] for field, stages in waiting.items()}
        for stages in waiting.values():
            stages.clear()
        return encode_texts(texts, specs, step, self.scratch, self.ledger)

    # Splits

    def make_split(
        self,
        split: str,
        parts: SplitParts,
        vocabularies: Mapping[str, Vocabulary],
        policy: LinePolicyConfig,
        alignments: Text | None,
        *,
        stores: bool,
    ) -> tuple[SplitRecord, dict[str, Any]]:
        """Join the stores of a split and copy its raw text; gives what the manifest and the summary say of it. Without
        `stores` the indices are only counted.

        Raises:
            UserError: the policy refuses a line, or leaves none of the train split; a word alignment is out of range.
        """
        make = functools.partial(self._make_split, split, parts, vocabularies, policy, alignments, stores)
        found = self.ledger.once(f"split.{split}", make)
        return parse_record(SplitRecord, found["record"], f"split {split}"), found["summary"]

    def _make_split(
        self,
        split: str,
        parts: SplitParts,
        vocabularies: Mapping[str, Vocabulary],
        policy: LinePolicyConfig,
        alignments: Text | None,
        stores: bool,
    ) -> tuple[dict[str, Any], list[Path]]:
        texts = self.inputs[split]
        survey = Survey(texts, policy, is_train=split == TRAIN)
        listing = self.directory / f"dropped.{split}.tsv"
        with progress(f"joining {split}", None):
            selection = survey.run(sizes_of([*parts.fields.values()]), listing, self.scratch / f"kept.{split}")
            joined = self._join(
                split, parts, vocabularies, policy if selection.dropped else None, selection, alignments
            )
        num_examples = next(iter(joined.fields.values())).num_sequences
        if split == TRAIN and num_examples == 0:
            raise UserError(
                f"{next(iter(texts.values())).files[0].path}: the `lines` policy leaves no example to train on"
            )
        record = self._record(split, num_examples, joined, selection, stores=stores)
        fields = {
            name: field_summary(texts[name], f.num_tokens, f.num_unknown, f.lengths)
            for name, f in joined.fields.items()
        }
        dropped = dropped_summary(selection.dropped, selection.places, listing.name)
        summary: dict[str, Any] = {"num_examples": num_examples, "fields": fields, "dropped": dropped}
        if joined.num_pairs is not None:
            summary["num_pairs"] = joined.num_pairs
        files = [self.directory / name for name in _file_names(record)] + ([listing] if selection.dropped else [])
        return {"record": dataclasses.asdict(record), "summary": summary}, files

    def _join(
        self,
        split: str,
        parts: SplitParts,
        vocabularies: Mapping[str, Vocabulary],
        policy: LinePolicyConfig | None,
        selection: Selection,
        alignments: Text | None,
    ) -> "_Joined":
        """All files of a split, at the same time as far as there are processes."""
        (self.directory / "raw").mkdir(exist_ok=True)
        sides = list(parts.fields.values())
        tasks: list[Callable[[], Any]] = [
            functools.partial(
                merge_field, sides, i, self.directory / f"{split}.{field}", len(vocabularies[field]), policy
            )
            for i, field in enumerate(parts.fields)
        ]
        if alignments is not None and parts.alignments is not None:
            prefix = self.directory / f"{split}.{ALIGNMENTS}"
            tasks.append(functools.partial(merge_alignments, parts.alignments, sides, prefix, policy, alignments))
        num_stores = len(tasks)
        tasks += [
            functools.partial(copy_lines, text, self.directory / "raw" / f"{split}.{field}", selection.kept)
            for field, text in self.inputs[split].items()
        ]
        found = list(self.ledger.workers.map(_call, tasks))[:num_stores]
        return _Joined(dict(zip(parts.fields, found, strict=False)), *found[len(parts.fields) :])

    def _record(
        self, split: str, num_examples: int, joined: "_Joined", selection: Selection, *, stores: bool
    ) -> SplitRecord:
        indices = [path.name for field in joined.fields for path in _store(f"{split}.{field}")]
        if not stores:
            for name in indices:
                (self.directory / name).unlink()
        names = [*(indices if stores else []), *(f"raw/{split}.{field}" for field in joined.fields)]
        if joined.num_pairs is not None:
            names += [path.name for path in _store(f"{split}.{ALIGNMENTS}")]
        found = self.ledger.workers.map(functools.partial(file_record, self.directory), names)
        files = dict(zip(names, found, strict=True))
        fields = {
            name: FieldRecord(
                field.num_tokens,
                field.num_unknown,
                files.get(f"{split}.{name}.bin"),
                files.get(f"{split}.{name}.idx"),
                files[f"raw/{split}.{name}"],
            )
            for name, field in joined.fields.items()
        }
        pairs = None
        if joined.num_pairs is not None:
            store = f"{split}.{ALIGNMENTS}"
            pairs = AlignmentRecord(joined.num_pairs, files[f"{store}.bin"], files[f"{store}.idx"])
        return SplitRecord(num_examples, fields, selection.dropped, pairs)


@dataclass(frozen=True)
class _Joined:
    fields: dict[str, MergedField]
    num_pairs: int | None = None
    """Of word alignments; None where there are none."""


def _call(task: Callable[[], Any]) -> Any:
    return task()


def _file_names(record: SplitRecord) -> list[str]:
    sides = [(side.tokens, side.index, side.raw) for side in record.fields.values()]
    pairs = [] if record.alignments is None else [(record.alignments.tokens, record.alignments.index)]
    return [file.name for file in itertools.chain(*sides, *pairs) if file is not None]


def _store(name: str) -> tuple[Path, Path]:
    """The files of a store of token indices."""
    return token_path(Path(name)), index_path(Path(name))


def _lines(chunks: Sequence[Chunk]) -> Iterator[str]:
    """All lines of some text, white space normalised."""
    for chunk in chunks:
        for lines in read_lines(chunk):
            yield from (" ".join(line.split()) for line in lines)
