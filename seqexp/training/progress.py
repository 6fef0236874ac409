"""Where a run stands: everything besides weights and optimizer state that resuming exactly needs."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from seqexp.training.intervals import Mark


@dataclass
class Progress:
    """Counters of the trainer; a run that resumes from them continues as if it had not stopped."""

    update: int = 0
    """Finished updates."""
    epoch: int = 0
    """Finished epochs, which is also the number of the current one, from 0."""
    batch: int = 0
    """Micro-batches of the current epoch that are done."""
    seconds: float = 0.0
    """Time spent training, over all attempts."""
    num_targets: int = 0
    """Target tokens trained on."""
    validated: Mark = field(default_factory=Mark)
    saved: Mark = field(default_factory=Mark)
    best: float | None = None
    """Best value of the metric so far."""
    num_validations_since_best: int = 0
    metrics: dict[str, list[float]] = field(default_factory=dict)
    """Sums and counts of the training metrics since the last time they were logged."""
    stop_reason: str | None = None

    def begin_run(self, *, same_order: bool) -> None:
        """Go on as a new run: what this one has validated, saved and found best does not count.

        Args:
            same_order: the position in the epoch still means the same; otherwise the next epoch begins.
        """
        self.best, self.num_validations_since_best, self.stop_reason, self.metrics = None, 0, None, {}
        if not same_order and self.batch:
            self.epoch, self.batch = self.epoch + 1, 0
        self.validated = self.saved = self.now

    @property
    def now(self) -> Mark:
        return Mark(self.update, self.epoch, self.seconds)

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        marks = {name: Mark(**state[name]) for name in ("validated", "saved")}
        return cls(**{**state, **marks})
