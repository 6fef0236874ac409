"""Things that are done every so often."""

from dataclasses import dataclass

from seqexp.config.base import require


@dataclass
class Interval:
    """How often something is done."""

    updates: int | None = None
    """Updates. The three together: when one of them has passed; all null: every epoch."""
    epochs: int | None = None
    """Passes over the training data."""
    minutes: float | None = None
    """Minutes of training."""

    def __post_init__(self) -> None:
        for name in ("updates", "epochs", "minutes"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "a number above 0, or null")

    @property
    def is_open(self) -> bool:
        return self.updates is None and self.epochs is None and self.minutes is None


@dataclass
class Mark:
    """When something was last done."""

    update: int = 0
    epoch: int = 0
    """Finished epochs."""
    seconds: float = 0.0
    """Time spent training."""


def is_due(interval: Interval, last: Mark, now: Mark) -> bool:
    """Whether `interval` has passed between two marks."""
    if interval.is_open:
        return now.epoch > last.epoch
    return (
        (interval.updates is not None and now.update - last.update >= interval.updates)
        or (interval.epochs is not None and now.epoch - last.epoch >= interval.epochs)
        or (interval.minutes is not None and now.seconds - last.seconds >= 60 * interval.minutes)
    )
