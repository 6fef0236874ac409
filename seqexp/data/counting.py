"""How often each token occurs, in memory that the size of the text does not raise."""

import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from seqexp.data.ledger import Ledger
from seqexp.data.progress import progress
from seqexp.data.text import Chunk, read_blocks
from seqexp.data.vocabulary import Vocabulary

MAX_TOKENS_IN_MEMORY = 1 << 21
"""Different ones. With more, counts go to disk in sorted runs, so no token is forgotten; 2^21 take about 350 MB."""


MIN_PART_BYTES = 1 << 22
"""Counted at once: the counts of small pieces would take longer to add up than to make."""


@dataclass(frozen=True)
class _CountPart:
    name: str
    chunks: tuple[Chunk, ...]
    output: Path

    @property
    def num_bytes(self) -> int:
        return sum(chunk.num_bytes for chunk in self.chunks)

    def outputs(self) -> list[Path]:
        return [self.output]


def count_tokens(chunks: Sequence[Chunk], name: str, scratch: Path, ledger: Ledger) -> "TokenCounts":
    """Count the tokens of text; `name` tells this count from others that use the same scratch directory."""
    parts = []
    for number, group in enumerate(_grouped(chunks)):
        first, last = group[0], group[-1]
        part_name = f"count.{name}.{number}.{first.path.name}.{first.start}-{last.path.name}.{last.end}"
        parts.append(_CountPart(part_name, group, scratch / f"{name}.{number}.json"))
    counts = TokenCounts(scratch, name)
    with progress(f"counting tokens of {name}", sum(part.num_bytes for part in parts)) as advance:
        for part, _ in zip(parts, ledger.map(_count_part, parts), strict=True):
            counts.add(json.loads(part.output.read_text(encoding="utf-8")))
            advance(part.num_bytes)
    return counts


def _grouped(chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, ...]]:
    group: list[Chunk] = []
    for chunk in chunks:
        group.append(chunk)
        if sum(each.num_bytes for each in group) >= MIN_PART_BYTES:
            yield tuple(group)
            group = []
    if group:
        yield tuple(group)


def _count_part(part: _CountPart) -> None:
    counts: Counter[str] = Counter()
    for chunk in part.chunks:
        for block in read_blocks(chunk):
            counts.update(block.decode("utf-8").split())
    part.output.write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")


class TokenCounts:
    """Sums counts, exactly."""

    def __init__(self, scratch: Path, name: str) -> None:
        self._scratch = scratch
        self._name = name
        self._counts: Counter[str] = Counter()
        self._runs: list[Path] = []

    def add(self, counts: dict[str, int]) -> None:
        self._counts.update(counts)
        if len(self._counts) > MAX_TOKENS_IN_MEMORY:
            self._spill()

    def most_frequent(self, threshold: int, max_tokens: int | None) -> dict[str, int]:
        """Tokens that occur at least `threshold` times, and at most so many of them; of equally frequent ones those
        that come first by code point. Only these are in memory."""
        frequent = ((token, count) for token, count in self._totals() if count >= threshold)
        if max_tokens is None:
            return dict(frequent)
        return dict(heapq.nsmallest(max_tokens, frequent, key=lambda entry: (-entry[1], entry[0])))

    def _totals(self) -> Iterable[tuple[str, int]]:
        if not self._runs:
            return self._counts.items()
        self._spill()
        return _summed(heapq.merge(*map(_read_run, self._runs)))

    def _spill(self) -> None:
        path = self._scratch / f"{self._name}.run{len(self._runs)}"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{token} {count}\n" for token, count in sorted(self._counts.items()))
        self._runs.append(path)
        self._counts.clear()


def _summed(entries: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    for token, group in itertools.groupby(entries, key=itemgetter(0)):
        yield token, sum(count for _, count in group)


def _read_run(path: Path) -> Iterator[tuple[str, int]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            token, _, count = line.rpartition(" ")
            yield token, int(count)


def learn_vocabulary(counts: TokenCounts, *, threshold: int, max_size: int | None, multiple_of: int) -> Vocabulary:
    """The vocabulary of counted text; options as in `Vocabulary.from_counts`."""
    # Text may spell special tokens, which are passed over and must not take the place of others.
    max_tokens = None if max_size is None else max_size + Vocabulary().num_specials
    found = counts.most_frequent(threshold, max_tokens)
    return Vocabulary.from_counts(found, threshold=threshold, max_size=max_size, multiple_of=multiple_of)
