"""Raw text of a data directory as token indices: once, or with other subwords in every epoch."""

import functools
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from seqexp.data.binarize import BlockEncoder, StageSpec, built_stages
from seqexp.data.indexed import Integers, TokenStore, TokenStoreWriter, index_path, token_dtype, token_path
from seqexp.data.manifest import FileRecord, Manifest, verify_file
from seqexp.data.stages import Catalog, stage_config
from seqexp.data.text import Chunk, Workers, read_blocks, read_lines, split_file
from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError
from seqexp.runtime.rng import derive_seed
from seqexp.runtime.scratch import ScratchDirectory
from seqexp.tokenizers.base import Tokenizer
from seqexp.tokenizers.sampling import Sampler, SamplingConfig

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FieldText:
    """One side of a split as raw text, and what makes indices of it."""

    field: str
    directory: Path
    raw: FileRecord
    stages: tuple[StageSpec, ...]
    vocabulary: Path

    @classmethod
    def of(
        cls, directory: Path, manifest: Manifest, split: str, field: str, catalog: Catalog, trust: Sequence[str] = ()
    ) -> "FieldText":
        """A side of a split of a data directory."""
        return cls(
            field=field,
            directory=directory,
            raw=manifest.splits[split].fields[field].raw,
            stages=tuple(
                StageSpec(stage_config(record, catalog, trust), directory, field) for record in manifest.stages[field]
            ),
            vocabulary=directory / manifest.vocabularies[field].file.name,
        )

    @property
    def text(self) -> Path:
        return self.directory / self.raw.name

    def verify(self) -> None:
        """
        Raises:
            UserError: the text is missing or differs from the manifest.
        """
        verify_file(self.directory, self.raw)

    def require_sampling(self, sampling: SamplingConfig) -> None:
        """
        Raises:
            UserError: no stage draws subwords by these options.
        """
        stages = built_stages(self.stages)
        if all(stage.sampler(sampling) is None for stage in stages):
            option = f"dropout={sampling.dropout}" if sampling.dropout else f"alpha={sampling.alpha}"
            names = " and ".join(type(stage).__name__ for stage in stages)
            raise UserError(
                f"task.sampling.{option}: the stages of the data's {self.field} text ({names}) cannot draw by it; "
                "dropout is for BPE, alpha for a unigram model of SentencePiece"
            )


@dataclass(frozen=True)
class Draw:
    """How subwords are drawn in one epoch."""

    sampling: SamplingConfig
    seed: int
    """Of this epoch; the lines of each field have numbers of their own below it."""
    max_size: int
    """Most tokens, `</s>` included. A line that is longer keeps the subwords that it has without drawing, so whether an
    example is too long does not hang on the draw."""


class TemporaryStore(TokenStore):
    """A store that lasts as long as the object."""

    def __init__(self, prefix: Path, scratch: ScratchDirectory) -> None:
        super().__init__(prefix)
        self.scratch = scratch

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenStore, (self.prefix,)  # for another process the files are there as long as for this one


def encode_field(
    field: FieldText, *, num_workers: int | None = 1, draw: Draw | None = None, plain: TokenStore | None = None
) -> TokenStore:
    """The indices of a side of a split, in temporary files.

    Args:
        num_workers: processes, None for as many as there are processors; the result is the same for any number.
        draw: draw subwords at random; None encodes as usual.
        plain: with `draw`, the indices without drawing.

    Raises:
        UserError: the temporary files cannot be written.
    """
    started = time.monotonic()
    scratch = ScratchDirectory()
    prefix = scratch.path / field.field
    workers = Workers(num_workers)
    with scratch.filling():
        tasks = _tasks(field, prefix, draw, plain)
        with (
            workers if len(tasks) > 1 else Workers(1) as workers,
            TokenStoreWriter(prefix, _vocabulary(field.vocabulary)[1]) as writer,
        ):
            for part in workers.map(_encode_chunk, tasks):
                store = TokenStore(part)
                writer.write(store.tokens, store.sizes)
                token_path(part).unlink()
                index_path(part).unlink()
    logger.info("%s: %s in %.1f s", field.text, "encoded" if draw is None else "drawn", time.monotonic() - started)
    return TemporaryStore(prefix, scratch)


def store_of_lines(lines: Iterable[Integers], vocabulary_size: int) -> TokenStore:
    """Indices of lines in temporary files, such as those of a text that was not prepared.

    Raises:
        UserError: the temporary files cannot be written.
    """
    scratch = ScratchDirectory()
    prefix = scratch.path / "text"
    with scratch.filling(), TokenStoreWriter(prefix, token_dtype(vocabulary_size)) as writer:
        for line in lines:
            writer.write(line, np.array([len(line)]))
    return TemporaryStore(prefix, scratch)


# Work of one process


@dataclass(frozen=True)
class _Task:
    field: FieldText
    chunk: Chunk
    first_line: int
    prefix: Path
    draw: Draw | None
    plain: Path | None


def _tasks(field: FieldText, prefix: Path, draw: Draw | None, plain: TokenStore | None) -> list[_Task]:
    chunks = split_file(field.text)
    num_lines = [sum(block.count(b"\n") for block in read_blocks(chunk)) for chunk in chunks]
    first_lines = np.cumsum([0, *num_lines]).tolist()
    return [
        _Task(
            field,
            chunk,
            first,
            prefix.with_name(f"{prefix.name}.{number}"),
            draw,
            None if plain is None else plain.prefix,
        )
        for number, (chunk, first) in enumerate(zip(chunks, first_lines, strict=False))
    ]


def _encode_chunk(task: _Task) -> Path:
    stages = built_stages(task.field.stages)
    encoder, dtype = _vocabulary(task.field.vocabulary)
    number = task.first_line
    with TokenStoreWriter(task.prefix, dtype) as writer:
        for raw in read_lines(task.chunk):
            lines = raw
            for stage in stages:
                lines = _encode_lines(stage, lines, task, number)
            tokens: Integers
            sizes: Integers
            tokens, sizes = encoder.encode("".join(f"{line}\n" for line in lines))
            if task.draw is not None:
                assert task.plain is not None
                tokens, sizes = _without_long(tokens, sizes, _store(task.plain), number, task.draw.max_size)
            writer.write(tokens, sizes)
            number += len(lines)
    return task.prefix


def _encode_lines(stage: Tokenizer, lines: list[str], task: _Task, first: int) -> list[str]:
    draw = task.draw
    if draw is None:
        return stage.encode_lines(lines)
    sampling = draw.sampling
    sampler = _sampler(stage, sampling.dropout, sampling.alpha, sampling.nbest_size, task.field.vocabulary)
    if sampler is None:
        return stage.encode_lines(lines)
    key = derive_seed(draw.seed, *task.field.field.encode("utf-8")) << 64
    random = Random()
    sampled = []
    for number, line in enumerate(lines, start=first):
        random.seed(key + number)
        sampled.append(sampler(line, random))
    return sampled


@functools.lru_cache(maxsize=4)
def _sampler(
    stage: Tokenizer, dropout: float, alpha: float | None, nbest_size: int, vocabulary: Path
) -> Sampler | None:
    """Of this process: it remembers words that recur."""
    return stage.sampler(SamplingConfig(dropout, alpha, nbest_size), _vocabulary(vocabulary)[0].text_indices)


@functools.lru_cache(maxsize=2)
def _vocabulary(path: Path) -> tuple[BlockEncoder, np.dtype[Any]]:
    vocabulary = Vocabulary.load(path)
    return BlockEncoder(vocabulary.text_indices, vocabulary.unk, vocabulary.eos), token_dtype(len(vocabulary))


_store = functools.lru_cache(maxsize=2)(TokenStore)


def _without_long(
    tokens: Integers, sizes: Integers, plain: TokenStore, first: int, max_size: int
) -> tuple[Integers, Integers]:
    """Put the plain indices in place of those of lines that are too long, drawn or not."""
    plain_sizes = plain.sizes[first : first + len(sizes)]
    too_long = np.flatnonzero((sizes > max_size) | (plain_sizes > max_size))
    if len(too_long) == 0:
        return tokens, sizes
    sequences = np.split(tokens, np.cumsum(sizes)[:-1])
    for number in too_long.tolist():
        sequences[number] = plain[first + number]
    return np.concatenate(sequences), np.array([len(sequence) for sequence in sequences])
