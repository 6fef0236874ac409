"""What `preprocess` does with empty and over-long lines. Nothing is dropped without being counted and named."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqexp.config.base import require
from seqexp.data.manifest import DroppedRecord
from seqexp.runtime.errors import UserError

NUM_NAMED_LINES = 10


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


@dataclass(frozen=True)
class Selection:
    """What the policy makes of a split."""

    sizes: dict[str, NDArray[np.int32]] | None
    """New size of each line of each field, 0 for a dropped one; None if nothing changes."""
    dropped: dict[str, DroppedRecord]

    def kept(self) -> NDArray[np.bool_] | None:
        """Which lines stay; None for all."""
        if self.sizes is None:
            return None
        mask: NDArray[np.bool_] = next(iter(self.sizes.values())) > 0
        return None if mask.all() else mask


def select(
    sizes: Mapping[str, NDArray[np.int32]], paths: Mapping[str, Path], config: LinePolicyConfig, *, is_train: bool
) -> Selection:
    """Apply the policy to a split.

    Args:
        sizes: tokens of each line, `</s>` included, by field.
        paths: the fields' files, for messages.

    Raises:
        UserError: a line is empty or too long and the policy is `error`.
    """
    columns = np.stack([*sizes.values()])
    empty = columns == 1
    maximum = np.iinfo(np.int32).max if config.max_tokens is None else config.max_tokens
    too_long = columns > maximum
    if config.empty is EmptyLines.error:
        _refuse(empty, paths, "no tokens", "lines.empty=drop or keep")
    if config.long is LongLines.error:
        _refuse(too_long, paths, f"more than {config.max_tokens} tokens", "lines.long=drop or truncate")
    if not is_train:
        return Selection(None, {})
    affected: dict[str, NDArray[np.bool_]] = {}
    new_sizes = columns
    if config.long is LongLines.truncate:
        affected["truncated"] = np.any(too_long, axis=0)
        new_sizes = np.where(too_long, maximum, columns).astype(np.int32)
    else:
        affected["long"] = np.any(too_long, axis=0)
    if config.empty is EmptyLines.drop:
        affected["empty"] = np.any(empty, axis=0)
    return _selection(dict(zip(sizes, new_sizes, strict=True)), affected)


def _selection(sizes: dict[str, NDArray[np.int32]], affected: dict[str, NDArray[np.bool_]]) -> Selection:
    dropped = {reason: _record(mask) for reason, mask in affected.items() if mask.any()}
    if not dropped:
        return Selection(None, {})
    gone = np.zeros_like(next(iter(affected.values())))
    for reason in affected.keys() - {"truncated"}:
        gone |= affected[reason]
    return Selection({field: np.where(gone, 0, column).astype(np.int32) for field, column in sizes.items()}, dropped)


def _record(mask: NDArray[np.bool_]) -> DroppedRecord:
    lines = np.flatnonzero(mask)[:NUM_NAMED_LINES] + 1
    return DroppedRecord(int(mask.sum()), [int(line) for line in lines])


def _refuse(mask: NDArray[np.bool_], paths: Mapping[str, Path], what: str, advice: str) -> None:
    for path, found in zip(paths.values(), mask, strict=True):
        if found.any():
            line = int(found.argmax()) + 1
            count = int(found.sum())
            raise UserError(f"{path}:{line}: {what}, as in {count} lines of the file; mend it or set {advice}")
