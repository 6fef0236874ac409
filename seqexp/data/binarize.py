"""Text to stores of token indices, in several processes.

Every function works on whole files, cut into chunks of lines; the result is the same for any number of processes.
"""

import functools
import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqexp.config.build import build
from seqexp.data.indexed import Integers, TokenStore, TokenStoreWriter, index_path, token_dtype, token_path
from seqexp.data.policies import LinePolicyConfig, Selection, select
from seqexp.data.progress import progress
from seqexp.data.text import Chunk, Workers, read_blocks, read_lines, split_file
from seqexp.data.vocabulary import Vocabulary
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig

LINE_END = "\0"
LINE_END_NOT_IN_UTF8 = "\udc00"
"""For text that holds NUL. A lone surrogate makes every string of the block wide, so it is not the first choice."""
LINE_END_INDEX = -1
SEQUENCES_AT_ONCE = 1 << 16
_NO_SIZES = np.zeros(0, np.int32)


# Applying text stages


@dataclass(frozen=True)
class StageSpec:
    """What a process needs to build one text stage."""

    config: TokenizerConfig
    directory: Path
    language: str

    def build(self) -> Tokenizer:
        stage: Tokenizer = build(self.config, directory=self.directory, language=self.language)
        return stage


@dataclass(frozen=True)
class _EncodeTask:
    chunk: Chunk
    stages: tuple[StageSpec, ...]
    output: Path


def encode_text(source: Path, stages: Sequence[StageSpec], output: Path, workers: Workers, title: str) -> None:
    """Write the text of `source`, after the stages, line for line to `output`; `title` is what the user is shown."""
    specs = tuple(stages)
    chunks = split_file(source, 4 * workers.num_workers)
    tasks = [_EncodeTask(chunk, specs, output.with_name(f"{output.name}.{i}")) for i, chunk in enumerate(chunks)]
    with output.open("wb") as merged, progress(title, source.stat().st_size) as advance:
        for task, part in zip(tasks, workers.map(_encode_chunk, tasks), strict=True):
            with part.open("rb") as file:
                shutil.copyfileobj(file, merged)
            part.unlink()
            advance(task.chunk.num_bytes)


def _encode_chunk(task: _EncodeTask) -> Path:
    stages = built_stages(task.stages)
    with task.output.open("w", encoding="utf-8", newline="\n") as output:
        for lines in read_lines(task.chunk):
            for stage in stages:
                lines = stage.encode_lines(lines)
            output.writelines(line + "\n" for line in lines)
    return task.output


_built: dict[str, list[Tokenizer]] = {}
"""What this process has built already, by the text form of its specs: loading a model takes longer than a chunk."""


def built_stages(specs: tuple[StageSpec, ...]) -> list[Tokenizer]:
    """The stages, made once in each process."""
    key = repr(specs)
    if key not in _built:
        _built.clear()
        _built[key] = [spec.build() for spec in specs]
    return _built[key]


# Counting


def count_tokens(paths: Sequence[Path], workers: Workers) -> Counter[str]:
    """How often each token occurs in text files."""
    chunks = [chunk for path in paths for chunk in split_file(path, workers.num_workers, max_bytes=1 << 26)]
    counts: Counter[str] = Counter()
    with progress("counting tokens", sum(chunk.num_bytes for chunk in chunks)) as advance:
        for chunk, found in zip(chunks, workers.map(_count_chunk, chunks), strict=True):
            counts.update(found)
            advance(chunk.num_bytes)
    return counts


def _count_chunk(chunk: Chunk) -> Counter[str]:
    counts: Counter[str] = Counter()
    for block in read_blocks(chunk):
        counts.update(block.decode("utf-8").split())
    return counts


# Indices


@dataclass(frozen=True)
class BinarizedField:
    """Figures of one side of a split."""

    num_sequences: int
    num_tokens: int
    num_unknown: int


class BlockEncoder:
    """Turns blocks of tokenised lines into indices."""

    def __init__(self, text_indices: Mapping[str, int], unk: int, eos: int) -> None:
        self.text_indices = text_indices
        self.unk = unk
        self.eos = eos

    @functools.cached_property
    def _indices(self) -> dict[str, int]:
        return {**self.text_indices, LINE_END: LINE_END_INDEX}

    @functools.cached_property
    def _indices_with_nul(self) -> dict[str, int]:
        return {**self.text_indices, LINE_END_NOT_IN_UTF8: LINE_END_INDEX}

    def encode(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The tokens of all lines one after the other, each line ended by `</s>`, and the lines' sizes."""
        marker, indices = LINE_END, self._indices
        if LINE_END in text:
            marker, indices = LINE_END_NOT_IN_UTF8, self._indices_with_nul
        if not text.endswith("\n"):
            text += "\n"
        words = text.replace("\n", f" {marker} ").split()
        tokens = np.fromiter(map(indices.get, words, repeat(self.unk)), np.int64, len(words))
        ends = np.flatnonzero(tokens == LINE_END_INDEX)
        tokens[ends] = self.eos
        return tokens, np.diff(ends, prepend=-1)


@dataclass(frozen=True)
class _BinarizeTask:
    field: str
    chunk: Chunk
    vocabulary: Path
    prefix: Path


def binarize_split(
    texts: Mapping[str, Path],
    inputs: Mapping[str, Path],
    vocabularies: Mapping[str, Vocabulary],
    prefix: Path,
    policy: LinePolicyConfig,
    workers: Workers,
    scratch: Path,
    *,
    is_train: bool,
) -> tuple[dict[str, BinarizedField], Selection]:
    """Write the stores `{prefix}.{field}` of one split.

    Args:
        texts: tokenised text of each field; all have the same number of lines.
        inputs: the files that it was made of, for messages.
        policy: what becomes of empty and long lines.
        scratch: directory for temporary files.

    Raises:
        UserError: the policy refuses a line.
    """
    saved = {field: _save_indices(vocabulary, scratch) for field, vocabulary in vocabularies.items()}
    tasks = [
        _BinarizeTask(field, chunk, saved[field], scratch / f"{prefix.name}.{field}.{i}")
        for field, text in texts.items()
        for i, chunk in enumerate(split_file(text, 4 * workers.num_workers))
    ]
    parts: dict[str, list[Path]] = {field: [] for field in texts}
    with progress(f"binarizing {prefix.name}", sum(task.chunk.num_bytes for task in tasks)) as advance:
        for task, part in zip(tasks, workers.map(_binarize_chunk, tasks), strict=True):
            parts[task.field].append(part)
            advance(task.chunk.num_bytes)
    stores = {field: [TokenStore(part) for part in found] for field, found in parts.items()}
    sizes = {field: np.concatenate([_NO_SIZES, *(part.sizes for part in found)]) for field, found in stores.items()}
    selection = select(sizes, inputs, policy, is_train=is_train)
    figures = {
        field: _merge(found, prefix.with_name(f"{prefix.name}.{field}"), vocabularies[field], selection, field)
        for field, found in stores.items()
    }
    for part in (part for found in parts.values() for part in found):
        token_path(part).unlink()
        index_path(part).unlink()
    return figures, selection


def _save_indices(vocabulary: Vocabulary, scratch: Path) -> Path:
    """A vocabulary in the form in which a process loads it fastest."""
    path = scratch / f"{vocabulary.content_hash()}.json"
    if not path.exists():
        content = (vocabulary.text_indices, vocabulary.unk, vocabulary.eos, len(vocabulary))
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


@functools.lru_cache(maxsize=2)
def _load_encoder(path: Path) -> tuple[BlockEncoder, np.dtype[Any]]:
    text_indices, unk, eos, size = json.loads(path.read_text(encoding="utf-8"))
    return BlockEncoder(text_indices, unk, eos), token_dtype(size)


def _binarize_chunk(task: _BinarizeTask) -> Path:
    encoder, dtype = _load_encoder(task.vocabulary)
    with TokenStoreWriter(task.prefix, dtype) as writer:
        for block in read_blocks(task.chunk):
            writer.write(*encoder.encode(block.decode("utf-8")))
    return task.prefix


def _merge(
    parts: Sequence[TokenStore], prefix: Path, vocabulary: Vocabulary, selection: Selection, field: str
) -> BinarizedField:
    """Join the parts of a field, without what is dropped."""
    num_unknown, line = 0, 0
    new_sizes = None if selection.sizes is None else selection.sizes[field]
    with TokenStoreWriter(prefix, token_dtype(len(vocabulary))) as writer:
        for store in parts:
            for start in range(0, len(store), SEQUENCES_AT_ONCE):
                sizes: Integers = store.sizes[start : start + SEQUENCES_AT_ONCE]
                tokens: Integers = store.tokens[store.offsets[start] : store.offsets[start + len(sizes)]]
                num_lines = len(sizes)
                if new_sizes is not None:
                    tokens, sizes = _shorten(tokens, sizes, new_sizes[line : line + num_lines], vocabulary.eos)
                num_unknown += int(np.count_nonzero(tokens == vocabulary.unk))
                writer.write(tokens, sizes)
                line += num_lines
    return BinarizedField(writer.num_sequences, writer.num_tokens, num_unknown)


def _shorten(tokens: Integers, sizes: Integers, new_sizes: Integers, eos: int) -> tuple[Integers, Integers]:
    """Cut sequences to their new sizes, each ended by `</s>`; those of new size 0 vanish."""
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    positions = np.arange(len(tokens)) - np.repeat(starts, sizes)
    tokens = tokens[positions < np.repeat(new_sizes, sizes)]
    kept = new_sizes[new_sizes > 0]
    tokens[np.cumsum(kept, dtype=np.int64) - 1] = eos
    return tokens, kept
