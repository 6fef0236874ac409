"""Text to token indices, in several processes.

Every function works on chunks of lines; the result is the same for any number of processes.
"""

import functools
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqexp.config.build import build
from seqexp.data.indexed import TokenStoreWriter, index_path, token_dtype, token_path
from seqexp.data.ledger import Ledger, Part
from seqexp.data.progress import progress
from seqexp.data.text import Chunk, read_blocks, read_lines
from seqexp.data.vocabulary import Vocabulary
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig

Texts = Mapping[str, Mapping[str, Sequence[Chunk]]]
"""By split and field, the chunks that the text consists of."""
FINAL = "final"
"""The step that leaves text as it is after all stages."""

LINE_END = "\0"
LINE_END_NOT_IN_UTF8 = "\udc00"
"""For text that holds NUL. A lone surrogate makes every string of the block wide, so it is not the first choice."""
LINE_END_INDEX = -1


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
class _EncodePart:
    name: str
    chunk: Chunk
    stages: tuple[StageSpec, ...]
    output: Path

    def outputs(self) -> list[Path]:
        return [self.output]


def encode_texts(
    texts: Texts, stages: Mapping[str, Sequence[StageSpec]], step: str, scratch: Path, ledger: Ledger
) -> Texts:
    """The text after each field's stages, line for line, a file for each chunk; `step` names the files."""
    parts = {
        place: [
            _EncodePart(name, chunk, tuple(stages[place[1]]), scratch / name)
            for name, chunk in _named(f"{step}.{place[0]}.{place[1]}", chunks)
        ]
        for place, chunks in _places(texts).items()
    }
    _do(_encode_chunk, parts, "encoding" if step == FINAL else f"encoding for {step}", ledger)
    encoded: dict[str, dict[str, list[Chunk]]] = {split: {} for split in texts}
    for (split, field), made in parts.items():
        encoded[split][field] = [Chunk(part.output, 0, part.output.stat().st_size) for part in made]
    return encoded


def _encode_chunk(part: _EncodePart) -> None:
    stages = built_stages(part.stages)
    with part.output.open("w", encoding="utf-8", newline="\n") as output:
        for lines in read_lines(part.chunk):
            for stage in stages:
                lines = stage.encode_lines(lines)
            output.writelines(line + "\n" for line in lines)


_built: dict[str, list[Tokenizer]] = {}
"""What this process has built already, by the text form of its specs: loading a model takes longer than a chunk."""


def built_stages(specs: tuple[StageSpec, ...]) -> list[Tokenizer]:
    """The stages, made once in each process."""
    key = repr(specs)
    if key not in _built:
        _built.clear()
        _built[key] = [spec.build() for spec in specs]
    return _built[key]


# Indices


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
class _BinarizePart:
    name: str
    chunk: Chunk
    vocabulary: Path
    prefix: Path

    def outputs(self) -> list[Path]:
        return [token_path(self.prefix), index_path(self.prefix)]


def binarize_texts(
    texts: Texts, vocabularies: Mapping[str, Vocabulary], scratch: Path, ledger: Ledger
) -> dict[str, dict[str, list[Path]]]:
    """The indices of all text, by split and field: prefixes of stores, one for each chunk."""
    saved = {field: _save_indices(vocabulary, scratch) for field, vocabulary in vocabularies.items()}
    parts = {
        place: [
            _BinarizePart(name, chunk, saved[place[1]], scratch / name)
            for name, chunk in _named(f"indices.{place[0]}.{place[1]}", chunks)
        ]
        for place, chunks in _places(texts).items()
    }
    _do(_binarize_chunk, parts, "binarizing", ledger)
    prefixes: dict[str, dict[str, list[Path]]] = {split: {} for split in texts}
    for (split, field), made in parts.items():
        prefixes[split][field] = [part.prefix for part in made]
    return prefixes


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


def _binarize_chunk(part: _BinarizePart) -> None:
    encoder, dtype = _load_encoder(part.vocabulary)
    with TokenStoreWriter(part.prefix, dtype) as writer:
        for block in read_blocks(part.chunk):
            writer.write(*encoder.encode(block.decode("utf-8")))


# Parts


class _ChunkPart(Part, Protocol):
    @property
    def chunk(self) -> Chunk: ...


ChunkPart = TypeVar("ChunkPart", bound=_ChunkPart)


def _places(texts: Texts) -> dict[tuple[str, str], Sequence[Chunk]]:
    return {(split, field): chunks for split, fields in texts.items() for field, chunks in fields.items()}


def _named(prefix: str, chunks: Sequence[Chunk]) -> Iterator[tuple[str, Chunk]]:
    """Chunks with names that tell what they are parts of, which part, and of which length."""
    for number, chunk in enumerate(chunks):
        yield f"{prefix}.{number}.{chunk.start}-{chunk.end}", chunk


def _do(
    function: Callable[[ChunkPart], None],
    parts: Mapping[tuple[str, str], Sequence[ChunkPart]],
    title: str,
    ledger: Ledger,
) -> None:
    everything = list(itertools.chain.from_iterable(parts.values()))
    with progress(title, sum(part.chunk.num_bytes for part in everything)) as advance:
        for part, _ in zip(everything, ledger.map(function, everything), strict=True):
            advance(part.chunk.num_bytes)
