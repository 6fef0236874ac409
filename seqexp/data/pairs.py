"""A split of a parallel corpus: two stores of token indices, their vocabularies and the raw text."""

import dataclasses
import functools
import logging
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order
from seqexp.data.indexed import TokenStore
from seqexp.data.manifest import Manifest, SplitRecord
from seqexp.data.stages import load_vocabulary
from seqexp.data.text import lines_of
from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError

NUM_NAMED_EXAMPLES = 10

logger = logging.getLogger(__name__)


class LongExamples(StrEnum):
    """What becomes of examples longer than a model can take."""

    error = "error"
    drop = "drop"
    """They are not used; a warning counts them and names the first ten."""
    truncate = "truncate"
    """They are cut, `</s>` kept; a warning counts them and names the first ten."""


@dataclass(frozen=True)
class PairSplit:
    """Sentence pairs by number. A number is that of the pair in the data directory, also where some are dropped."""

    name: str
    source: TokenStore
    target: TokenStore
    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    source_text: Path
    """Raw text; line i belongs to pair i."""
    target_text: Path
    numbers: NDArray[np.int64] | None = None
    """The pairs in use; None for all."""
    max_source_size: int | None = None
    """Longer sources are cut to this; None for no limit."""
    max_target_size: int | None = None
    """Longer targets are cut to this; None for no limit."""

    @classmethod
    def load(
        cls,
        directory: Path,
        split: str,
        *,
        manifest: Manifest | None = None,
        source: str | None = None,
        target: str | None = None,
        verify: bool = False,
    ) -> Self:
        """Open a split of a data directory.

        Args:
            manifest: that of the directory, if it is loaded already.
            source: the field to translate from, `target` the one to translate into; None for those of the manifest.
            verify: compare the stores' checksums with the manifest's.

        Raises:
            UserError: the directory holds no sentence pairs or no such split, or a file is missing or corrupt.
        """
        manifest = manifest or Manifest.load(directory)
        record = _find_split(directory, manifest, split)
        source, target = source or manifest.source, target or manifest.target
        assert target is not None
        return cls(
            name=split,
            source=_open_store(directory / f"{split}.{source}", record, source, verify=verify),
            target=_open_store(directory / f"{split}.{target}", record, target, verify=verify),
            source_vocabulary=load_vocabulary(directory, manifest, source),
            target_vocabulary=load_vocabulary(directory, manifest, target),
            source_text=directory / record.fields[source].raw.name,
            target_text=directory / record.fields[target].raw.name,
        )

    def __len__(self) -> int:
        """Number of pairs in use."""
        return len(self.source) if self.numbers is None else len(self.numbers)

    @functools.cached_property
    def source_sizes(self) -> Integers:
        """Tokens of every pair's source, those not in use too, after cutting; int32 [N]."""
        return _cut(self.source.sizes, self.max_source_size)

    @functools.cached_property
    def target_sizes(self) -> Integers:
        """Tokens of every pair's target, those not in use too, after cutting; int32 [N]."""
        return _cut(self.target.sizes, self.max_target_size)

    def source_lines(self) -> list[str]:
        """Raw source text of all pairs."""
        return list(lines_of(self.source_text))

    def target_lines(self) -> list[str]:
        """Raw target text of all pairs: the references."""
        return list(lines_of(self.target_text))

    def limited(self, max_source_size: int | None, max_target_size: int | None, policy: LongExamples) -> Self:
        """The split for a model that takes at most so many tokens; None for any number.

        Raises:
            UserError: a pair is longer and the policy is `error`, or it leaves no pair.
        """
        too_long = _exceeds(self.source_sizes, max_source_size) | _exceeds(self.target_sizes, max_target_size)
        if self.numbers is not None:
            unused = np.ones(len(too_long), dtype=np.bool_)
            unused[self.numbers] = False
            too_long &= ~unused
        if not too_long.any():
            return self
        limits = f"{max_source_size} source or {max_target_size} target tokens"
        what = f"{self.name}: {_describe(too_long)} longer than {limits}"
        if policy is LongExamples.error:
            raise UserError(f"{what}; drop or truncate them, or allow more")
        if policy is LongExamples.truncate:
            logger.warning("%s, truncated", what)
            return dataclasses.replace(self, max_source_size=max_source_size, max_target_size=max_target_size)
        logger.warning("%s, dropped", what)
        candidates = np.arange(len(too_long)) if self.numbers is None else self.numbers
        kept = candidates[~too_long[candidates]]
        if len(kept) == 0:
            raise UserError(f"{what}: none is left")
        return dataclasses.replace(self, numbers=kept)

    def plan(self, limits: BatchLimits, *, order: Order = Order.shuffled, seed: int = 0, epoch: int = 0) -> EpochPlan:
        """The batches of an epoch; for evaluation, `order=Order.by_length`."""
        return EpochPlan(
            self.source_sizes, self.target_sizes, limits, order=order, seed=seed, epoch=epoch, numbers=self.numbers
        )


def _find_split(directory: Path, manifest: Manifest, split: str) -> SplitRecord:
    if manifest.target is None:
        raise UserError(f"{directory}: the data is {manifest.kind}, not sentence pairs")
    if split not in manifest.splits:
        raise UserError(f"{directory}: no split {split!r}, only {', '.join(manifest.splits) or 'vocabularies'}")
    return manifest.splits[split]


def _open_store(prefix: Path, record: SplitRecord, field: str, *, verify: bool) -> TokenStore:
    store = TokenStore(prefix)
    if len(store) != record.num_examples:
        raise UserError(f"{prefix}: {len(store)} sequences, the manifest says {record.num_examples}")
    if verify:
        store.verify(record.fields[field].tokens.sha256, record.fields[field].index.sha256)
    return store


def _cut(sizes: NDArray[np.int32], maximum: int | None) -> Integers:
    return sizes if maximum is None else np.minimum(sizes, np.int32(maximum))


def _exceeds(sizes: Integers, maximum: int | None) -> NDArray[np.bool_]:
    return np.zeros(len(sizes), dtype=np.bool_) if maximum is None else sizes > maximum


def _describe(mask: NDArray[np.bool_]) -> str:
    numbers = np.flatnonzero(mask)
    first = ", ".join(str(number) for number in numbers[:NUM_NAMED_EXAMPLES])
    more = ", ..." if len(numbers) > NUM_NAMED_EXAMPLES else ""
    return f"{len(numbers)} of {len(mask)} examples ({first}{more}) are"
