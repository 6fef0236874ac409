"""What `preprocess` does with empty and over-long lines. Nothing is dropped without being counted and named."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqexp.config.base import require
from seqexp.data.manifest import DroppedRecord
from seqexp.data.text import Text
from seqexp.runtime.errors import UserError

NUM_NAMED_LINES = 10
NUM_QUOTED_CHARACTERS = 60

Sizes = NDArray[np.int32]
"""Tokens of each line, `</s>` included: [number of fields, number of lines]."""
Faults = dict[str, NDArray[np.bool_]]
"""By what is wrong, `empty` or `long`: which lines of which fields are so, [number of fields, number of lines]."""


class EmptyLines(StrEnum):
    error = "error"
    drop = "drop"
    keep = "keep"


class LongLines(StrEnum):
    error = "error"
    drop = "drop"
    truncate = "truncate"


@dataclass
class LinePolicyConfig:
    """Lines that suit no training. Only the train split loses or changes any; `error` holds for every split."""

    empty: EmptyLines = EmptyLines.drop
    """Examples with a side without tokens: `drop` the example, `keep` it (`</s>` alone), or stop with an `error`."""
    long: LongLines = LongLines.drop
    """Examples with a side longer than `max_tokens`: `drop` the example, `truncate` the side, or an `error`."""
    max_tokens: int | None = None
    """Longest side, in tokens with `</s>`; null for any length."""

    def __post_init__(self) -> None:
        maximum = self.max_tokens
        require(maximum is None or maximum > 1, "max_tokens", maximum, "more than 1, or null")
        cuts = self.long is LongLines.truncate and maximum is None
        require(not cuts, "long", "truncate", "it needs lines.max_tokens")

    def faults(self, sizes: Sizes) -> Faults:
        found = {} if self.empty is EmptyLines.keep else {"empty": sizes == 1}
        return found if self.max_tokens is None else {**found, "long": sizes > self.max_tokens}

    def apply(self, sizes: Sizes) -> Sizes:
        """The lines' new sizes in the train split; 0 in all fields for a dropped example."""
        faults = self.faults(sizes)
        if self.long is LongLines.truncate and "long" in faults:
            del faults["long"]
            sizes = np.minimum(sizes, np.int32(self.max_tokens or 0))
        dropped = np.zeros(sizes.shape[1], np.bool_)
        for mask in faults.values():
            dropped |= mask.any(axis=0)
        return np.where(dropped, np.int32(0), sizes)


@dataclass(frozen=True)
class Selection:
    """What the policy makes of a split."""

    dropped: dict[str, DroppedRecord]
    """By reason, as in the manifest."""
    places: dict[str, list[str]]
    """By reason, where the first of them stand: `file:line`."""
    kept: Path | None
    """File with a byte for each line, 1 for what stays; None for all. In memory it would grow with the corpus."""


class Survey:
    """Looks at a split's sizes, block by block, before anything of it is written."""

    def __init__(self, texts: Mapping[str, Text], config: LinePolicyConfig, *, is_train: bool) -> None:
        """`texts`: the fields' raw text, for messages."""
        self.texts = list(texts.values())
        self.config = config
        self.is_train = is_train
        self.num_lines = 0
        self._refused: dict[tuple[str, int], tuple[int, int]] = {}  # (fault, field): number of lines, the first
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[int]] = {}
        self._places: dict[str, list[str]] = {}

    def run(self, blocks: Iterable[Sizes], listing: Path, kept: Path) -> Selection:
        """
        Args:
            blocks: the sizes of consecutive lines.
            listing: file to write, if anything is dropped or truncated: every such line, with its reason and size.
            kept: file for `Selection.kept`.

        Raises:
            UserError: lines are empty or too long and the policy is `error`.
        """
        is_all = True
        with listing.open("w", encoding="utf-8", newline="\n") as file, kept.open("wb") as mask:
            file.write("reason\tline\ttokens\n")
            for sizes in blocks:
                file.writelines(self._rows(sizes))
                stays = self.config.apply(sizes)[0] > 0 if self.is_train else np.ones(sizes.shape[1], np.bool_)
                mask.write(stays.tobytes())
                is_all = is_all and bool(stays.all())
        if self._refused or not self._counts:
            listing.unlink()
        self._refuse()
        dropped = {reason: DroppedRecord(count, self._first[reason]) for reason, count in self._counts.items()}
        return Selection(dropped, self._places, None if is_all else kept)

    def _rows(self, sizes: Sizes) -> Iterable[str]:
        rows: list[str] = []
        for fault, mask in self.config.faults(sizes).items():
            if getattr(self.config, fault) == "error":
                self._count_refused(fault, mask)
            elif self.is_train:
                rows += self._name(self._reason(fault), sizes, mask)
        self.num_lines += sizes.shape[1]
        return rows

    def _reason(self, fault: str) -> str:
        return "truncated" if fault == "long" and self.config.long is LongLines.truncate else fault

    def _name(self, reason: str, sizes: Sizes, mask: NDArray[np.bool_]) -> Iterable[str]:
        """A row for each example with a fault; it names the first field at fault."""
        lines = np.flatnonzero(mask.any(axis=0))
        if not len(lines):
            return
        self._counts[reason] = self._counts.get(reason, 0) + len(lines)
        first, places = self._first.setdefault(reason, []), self._places.setdefault(reason, [])
        for line, field in zip(lines.tolist(), mask[:, lines].argmax(axis=0).tolist(), strict=True):
            number = self.num_lines + line
            place = self.texts[field].place(number)
            if len(first) < NUM_NAMED_LINES:
                first.append(number + 1)
                places.append(place)
            yield f"{reason}\t{place}\t{sizes[field, line]}\n"

    def _count_refused(self, fault: str, mask: NDArray[np.bool_]) -> None:
        for field, found in enumerate(mask):
            if found.any():
                count, first = self._refused.get((fault, field), (0, self.num_lines + int(found.argmax())))
                self._refused[fault, field] = (count + int(found.sum()), first)

    def _refuse(self) -> None:
        explained = {
            "empty": ("no tokens", "lines.empty=drop or keep"),
            "long": (f"more than {self.config.max_tokens} tokens", "lines.long=drop or truncate"),
        }
        for (fault, field), (count, first) in sorted(self._refused.items()):
            what, advice = explained[fault]
            text = self.texts[field]
            quoted = f" in {text.line(first)[:NUM_QUOTED_CHARACTERS]!r}" if fault == "long" else ""
            raise UserError(f"{text.place(first)}: {what}{quoted}, as in {count} lines; mend it or set {advice}")


def quoted_places(places: Sequence[str], count: int) -> str:
    """The first of many places, for people."""
    return ", ".join(places) + (", ..." if count > len(places) else "")
