"""The stores that were made of chunks, joined to those of a split, without what the policy drops."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqexp.data.alignments import DTYPE
from seqexp.data.indexed import Integers, TokenStore, TokenStoreWriter, token_dtype
from seqexp.data.policies import LinePolicyConfig, Sizes
from seqexp.data.text import Text
from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError

SEQUENCES_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class MergedField:
    """Figures of one side of a split."""

    num_sequences: int
    num_tokens: int
    num_unknown: int
    lengths: dict[int, int]
    """How many sequences there are of each size, `</s>` included."""


def sequences(parts: Sequence[Path]) -> Iterator[tuple[list[Integers], Integers]]:
    """Sequences of stores that follow one another, always as many at a time: their tokens, still to be joined and read
    from disk only then, and their sizes."""
    tokens: list[Integers] = []
    sizes: list[Integers] = []
    num_waiting = 0
    for store in map(TokenStore, parts):
        start = 0
        while start < len(store):
            end = min(start + SEQUENCES_AT_ONCE - num_waiting, len(store))
            tokens.append(store.tokens[store.offsets[start] : store.offsets[end]])
            sizes.append(store.sizes[start:end])
            num_waiting += end - start
            start = end
            if num_waiting == SEQUENCES_AT_ONCE:
                yield tokens, np.concatenate(sizes)
                tokens, sizes, num_waiting = [], [], 0
    if num_waiting:
        yield tokens, np.concatenate(sizes)


def sizes_of(fields: Sequence[Sequence[Path]]) -> Iterator[Sizes]:
    """Sizes of consecutive lines in all fields, [number of fields, number of lines]."""
    for blocks in zip(*map(sequences, fields), strict=True):
        yield np.stack([sizes for _, sizes in blocks])


def merge_field(
    fields: Sequence[Sequence[Path]], number: int, prefix: Path, vocabulary_size: int, policy: LinePolicyConfig | None
) -> MergedField:
    """Write the store of field `number`.

    Args:
        fields: the parts of every field; those of the others say which examples go.
        policy: None where nothing is dropped or cut.
    """
    specials = Vocabulary()
    lengths: Counter[int] = Counter()
    num_unknown = 0
    with TokenStoreWriter(prefix, token_dtype(vocabulary_size)) as writer:
        for (views, sizes), all_sizes in zip(sequences(fields[number]), sizes_of(fields), strict=True):
            tokens = np.concatenate(views)
            if policy is not None:
                tokens, sizes = _shorten(tokens, sizes, policy.apply(all_sizes)[number], specials.eos)
            num_unknown += int(np.count_nonzero(tokens == specials.unk))
            found, counts = np.unique(sizes, return_counts=True)
            lengths.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
            writer.write(tokens, sizes)
    return MergedField(writer.num_sequences, writer.num_tokens, num_unknown, dict(sorted(lengths.items())))


def _shorten(tokens: Integers, sizes: Integers, new_sizes: Integers, eos: int) -> tuple[Integers, Integers]:
    """Cut sequences to their new sizes, each ended by `</s>`; those of new size 0 vanish."""
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    positions = np.arange(len(tokens)) - np.repeat(starts, sizes)
    tokens = tokens[positions < np.repeat(new_sizes, sizes)]
    kept = new_sizes[new_sizes > 0]
    tokens[np.cumsum(kept, dtype=np.int64) - 1] = eos
    return tokens, kept


def merge_alignments(
    parts: Sequence[Path], sides: Sequence[Sequence[Path]], prefix: Path, policy: LinePolicyConfig | None, text: Text
) -> int:
    """Write the store of a split's word alignments: for each example `i j i j ...`; gives the number of pairs.

    Args:
        parts: stores of the pairs of all lines.
        sides: the parts of the source and of the target.
        policy: as in `merge_field`; pairs of what is cut off go with it.
        text: the alignments' files, for messages.

    Raises:
        UserError: a pair names a token that its sentence does not have.
    """
    line = 0
    with TokenStoreWriter(prefix, DTYPE) as writer:
        for (views, sizes), old in zip(sequences(parts), sizes_of(sides), strict=True):
            pairs = np.concatenate(views).reshape(-1, 2)
            owners = np.repeat(np.arange(len(sizes)), sizes // 2)
            _check_range(pairs, owners, old, text, line)
            new = old if policy is None else policy.apply(old)
            inside = np.all(pairs < new[:, owners].T - 1, axis=1)
            num_pairs = np.bincount(owners[inside], minlength=len(sizes))[new[0] > 0]
            writer.write(pairs[inside].reshape(-1), (2 * num_pairs).astype(np.int32))
            line += len(sizes)
    return writer.num_tokens // 2


def _check_range(pairs: Integers, owners: Integers, sizes: Sizes, text: Text, line: int) -> None:
    outside = np.any(pairs >= sizes[:, owners].T - 1, axis=1)
    if outside.any():
        first = int(outside.argmax())
        number = int(owners[first])
        i, j = pairs[first].tolist()
        source, target = (sizes[:, number] - 1).tolist()
        raise UserError(
            f"{text.place(line + number)}: the pair {i}-{j} is out of range: after all text stages the source has "
            f"{source} tokens, the target {target}, counted from 0"
        )
