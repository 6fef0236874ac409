"""Lines of the journal as values of metrics."""

from collections.abc import Mapping
from typing import Any

from seqexp.trackers.base import Point


def points_of(line: Mapping[str, Any], reached: dict[str, int]) -> list[Point]:
    """The values in one line of the journal; none where an earlier attempt came this far and they are known.

    A run that was killed goes on from its last checkpoint and repeats what came after, with equal values. Trackers
    cannot take values back, so the first ones stay.

    Args:
        line: as the journal holds it.
        reached: the last update of each kind of line; this one's is entered.
    """
    if "metrics" not in line:
        return []
    series = "/".join([line["kind"], *([line["split"]] if "split" in line else [])])
    if line["update"] <= reached.get(series, -1):
        return []
    reached[series] = line["update"]
    values = dict(line["metrics"])
    if "epoch" in line:
        values["epoch"] = line["epoch"]
    # Infinity and nan stand in the journal as strings.
    return [Point(f"{series}/{name}", float(value), line["update"], line["time"]) for name, value in values.items()]
