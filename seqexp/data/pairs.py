"""A split of a parallel corpus: two stores of token indices, their vocabularies and the raw text."""

import dataclasses
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order
from seqexp.data.encoding import Draw, FieldText, encode_field
from seqexp.data.fields import find_split, open_field
from seqexp.data.indexed import TokenStore
from seqexp.data.manifest import Manifest
from seqexp.data.padding import Padding, Widths
from seqexp.data.stages import Catalog, load_vocabulary
from seqexp.data.text import lines_of
from seqexp.data.vocabulary import Vocabulary
from seqexp.runtime.errors import UserError
from seqexp.runtime.rng import derive_seed
from seqexp.tokenizers.sampling import SamplingConfig

NUM_NAMED_EXAMPLES = 10

logger = logging.getLogger(__name__)


class LongExamples(StrEnum):
    """What becomes of examples longer than a model can take."""

    error = "error"
    drop = "drop"
    """They are not used; a warning counts them and names the first ten."""
    truncate = "truncate"
    """They are cut, `</s>` kept; a warning counts them and names the first ten."""


class Sides(StrEnum):
    both = "both"
    source = "source"
    target = "target"


@dataclass
class PairSamplingConfig(SamplingConfig):
    """Subword sampling of sentence pairs."""

    sides: Sides = Sides.both
    """Whose subwords are drawn."""


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
    source_encoding: FieldText | None = None
    """What makes the source's indices of its text, if the catalog was at hand."""
    target_encoding: FieldText | None = None
    max_prepared_size: int | None = None
    """To this the data's longer examples were cut when it was prepared; None where none was."""
    numbers: NDArray[np.int64] | None = None
    """The pairs in use; None for all."""
    max_source_size: int | None = None
    """Longer sources are cut to this; None for no limit."""
    max_target_size: int | None = None
    """Longer targets are cut to this; None for no limit."""
    source_widths: Widths = Widths()
    """What the sources of a batch are padded to; as it stands, to the longest."""
    target_widths: Widths = Widths()
    """What the targets of a batch are padded to; as it stands, to the longest."""

    @classmethod
    def load(
        cls,
        directory: Path,
        split: str,
        *,
        manifest: Manifest | None = None,
        source: str | None = None,
        target: str | None = None,
        catalog: Catalog | None = None,
        trust: Sequence[str] = (),
        verify: bool = False,
    ) -> Self:
        """Open a split of a data directory.

        Args:
            manifest: that of the directory, if it is loaded already.
            source: the field to translate from, `target` the one to translate into; None for those of the manifest.
            trust: text stages from outside the catalog that the manifest may name.
            catalog: names of the text stages; needed where the directory keeps the raw text only, and for `drawn`.
            verify: compare the stores' checksums with the manifest's.

        Raises:
            UserError: the directory holds no sentence pairs or no such split, or a file is missing or corrupt.
        """
        manifest = manifest or Manifest.load(directory)
        if manifest.target is None:
            raise UserError(f"{directory}: the data is {manifest.kind}, not sentence pairs")
        record = find_split(directory, manifest, split)
        source, target = source or manifest.source, target or manifest.target
        assert target is not None
        encodings, stores = {}, {}
        for field in (source, target):
            if catalog is not None:
                encodings[field] = FieldText.of(directory, manifest, split, field, catalog, trust)
            stores[field] = open_field(directory, split, record, field, encodings.get(field), verify=verify)
        was_cut = "truncated" in record.dropped
        return cls(
            name=split,
            source=stores[source],
            target=stores[target],
            source_encoding=encodings.get(source),
            target_encoding=encodings.get(target),
            max_prepared_size=max(int(store.sizes.max()) for store in stores.values()) if was_cut else None,
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
        what = f"{self.name}: {numbered(too_long)} longer than {limits}"
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

    def padded(self, padding: Padding, max_source_size: int | None, max_target_size: int | None) -> Self:
        """The split with wider batches, for a model that takes at most so many tokens; None for any number."""
        used = slice(None) if self.numbers is None else self.numbers
        return dataclasses.replace(
            self,
            source_widths=padding.widths(self.source_sizes[used], max_source_size),
            target_widths=padding.widths(self.target_sizes[used], max_target_size),
        )

    def require_sampling(self, sampling: PairSamplingConfig) -> None:
        """
        Raises:
            UserError: the text stages of a side cannot draw subwords by these options, or its text is damaged.
        """
        for encoding in self._drawn_sides(sampling).values():
            encoding.verify()
            encoding.require_sampling(sampling)

    def drawn(
        self,
        sampling: PairSamplingConfig,
        *,
        seed: int,
        epoch: int,
        max_source_size: int | None,
        max_target_size: int | None,
        num_workers: int = 1,
    ) -> Self:
        """The same pairs with the subwords of one epoch, in temporary files that go with the object.

        A pure function of the data, the options, the seed and the epoch. No side becomes longer than its limit, unless
        it is so without drawing.
        """
        limits = {"source": max_source_size, "target": max_target_size}
        drawn: dict[str, TokenStore] = {}
        for side, encoding in self._drawn_sides(sampling).items():
            maxima = [maximum for maximum in (limits[side], self.max_prepared_size) if maximum is not None]
            draw = Draw(sampling, derive_seed(seed, epoch), min(maxima, default=np.iinfo(np.int32).max))
            plain: TokenStore = getattr(self, side)
            drawn[side] = encode_field(encoding, num_workers=num_workers, draw=draw, plain=plain)
            if len(drawn[side]) != len(plain):
                raise UserError(f"{encoding.text}: {len(drawn[side])} lines where there were {len(plain)}")
            if drawn[side].num_tokens == plain.num_tokens:
                name = encoding.raw.name
                logger.warning("task.sampling changes nothing in %s: the vocabulary has too few other subwords", name)
        return dataclasses.replace(
            self, source=drawn.get("source", self.source), target=drawn.get("target", self.target)
        )

    def _drawn_sides(self, sampling: PairSamplingConfig) -> dict[str, FieldText]:
        encodings = {"source": self.source_encoding, "target": self.target_encoding}
        wanted = {side: encodings[side] for side in encodings if sampling.sides in (Sides.both, side)}
        found = {side: encoding for side, encoding in wanted.items() if encoding is not None}
        assert found.keys() == wanted.keys(), "the split was loaded without the catalog"
        return found

    def plan(self, limits: BatchLimits, *, order: Order = Order.shuffled, seed: int = 0, epoch: int = 0) -> EpochPlan:
        """The batches of an epoch, whose limits count padding; for evaluation, `order=Order.by_length`."""
        source, target = self.source_widths(self.source_sizes), self.target_widths(self.target_sizes)
        return EpochPlan(source, target, limits, order=order, seed=seed, epoch=epoch, numbers=self.numbers)


def _cut(sizes: NDArray[np.int32], maximum: int | None) -> Integers:
    return sizes if maximum is None else np.minimum(sizes, np.int32(maximum))


def _exceeds(sizes: Integers, maximum: int | None) -> NDArray[np.bool_]:
    return np.zeros(len(sizes), dtype=np.bool_) if maximum is None else sizes > maximum


def numbered(mask: NDArray[np.bool_]) -> str:
    """How many examples, of how many, and the numbers of the first."""
    numbers = np.flatnonzero(mask)
    first = ", ".join(str(number) for number in numbers[:NUM_NAMED_EXAMPLES])
    more = ", ..." if len(numbers) > NUM_NAMED_EXAMPLES else ""
    return f"{len(numbers)} of {len(mask)} examples ({first}{more}) are"
