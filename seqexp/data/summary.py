"""`summary.json`: figures of a prepared corpus for people. Nothing that reads the data depends on it."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqexp.data.manifest import DroppedRecord
from seqexp.data.policies import quoted_places
from seqexp.data.text import Text
from seqexp.runtime.errors import UserError

SUMMARY = "summary.json"
SHARES = {"median": 0.5, "95%": 0.95, "99%": 0.99}


def length_figures(lengths: Mapping[int, int]) -> dict[str, Any]:
    """Of sentence lengths in tokens, `</s>` included.

    Args:
        lengths: how many sentences there are of each length, in ascending order.

    Returns:
        Mean, percentiles (the shortest length that so many sentences do not exceed), and a histogram whose classes grow
        by powers of two: [shortest, longest, number of sentences].
    """
    total = sum(lengths.values())
    cumulated = list(zip(lengths, itertools.accumulate(lengths.values()), strict=True))
    mean = sum(length * count for length, count in lengths.items()) / max(total, 1)
    percentiles = {name: next((n for n, below in cumulated if below >= q * total), 0) for name, q in SHARES.items()}
    classes: dict[int, int] = {}
    for length, count in lengths.items():
        classes[length.bit_length()] = classes.get(length.bit_length(), 0) + count
    histogram = [[1 << bits - 1, (1 << bits) - 1, count] for bits, count in classes.items()]
    return {"mean": round(mean, 2), **percentiles, "longest": max(lengths, default=0), "histogram": histogram}


def field_summary(text: Text, num_tokens: int, num_unknown: int, lengths: Mapping[int, int]) -> dict[str, Any]:
    """Figures of one side of a split."""
    return {
        "files": {file.name: file.num_lines for file in text.files},
        "num_tokens": num_tokens,
        "num_unknown": num_unknown,
        "unknown_rate": num_unknown / max(num_tokens, 1),
        "lengths": length_figures(lengths),
    }


def dropped_summary(
    dropped: Mapping[str, DroppedRecord], places: Mapping[str, list[str]], listing: str
) -> dict[str, dict[str, Any]]:
    """What a policy did, by reason; `listing` is the file that names every line."""
    return {
        reason: {"count": record.count, "first": places[reason], "all": listing} for reason, record in dropped.items()
    }


def load_summary(directory: Path) -> dict[str, Any]:
    """
    Raises:
        UserError: the file is missing or not JSON.
    """
    path = directory / SUMMARY
    try:
        summary: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    return summary


def show(summary: Mapping[str, Any], directory: Path) -> str:
    """A table with a line for each side of each split, the vocabularies, and what was dropped."""
    header = ["split", "field", "sentences", "tokens", "unknown", "mean", *SHARES, "longest"]
    rows, notes = [header], []
    for split, figures in summary["splits"].items():
        rows += [_row(split, field, figures, side) for field, side in figures["fields"].items()]
        notes += _notes(split, figures, directory)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [_aligned(row, widths) for row in rows] if len(rows) > 1 else []
    vocabularies = [f"vocabulary {name}: {size:,} tokens" for name, size in summary["vocabularies"].items()]
    return "\n".join([*table, *vocabularies, *notes])


def _row(split: str, field: str, figures: Mapping[str, Any], side: Mapping[str, Any]) -> list[str]:
    lengths = side["lengths"]
    counts = [f"{figures['num_examples']:,}", f"{side['num_tokens']:,}", f"{side['unknown_rate']:.2%}"]
    percentiles = [str(lengths[name]) for name in (*SHARES, "longest")]
    return [split, field, *counts, f"{lengths['mean']:.1f}", *percentiles]


def _aligned(row: list[str], widths: list[int]) -> str:
    """Names to the left, numbers to the right."""
    cells = (
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells).rstrip()


def _notes(split: str, figures: Mapping[str, Any], directory: Path) -> list[str]:
    notes = []
    if "num_pairs" in figures:
        notes.append(f"{split}: {figures['num_pairs']:,} pairs of aligned words")
    for reason, found in figures["dropped"].items():
        what = "truncated" if reason == "truncated" else f"dropped, {reason}"
        more = f"; all in {directory / found['all']}" if found["count"] > len(found["first"]) else ""
        notes.append(f"{split}: {found['count']:,} {what}: {quoted_places(found['first'], found['count'])}{more}")
    return notes
