"""Where a run stands: everything besides weights and optimizer state that resuming exactly needs."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from seqexp.training.intervals import Mark

FRESH_IN_A_NEW_RUN = (
    "best",
    "num_validations_since_best",
    "valid",
    "num_skipped_updates",
    "num_skipped_examples",
    "num_non_finite",
    "num_non_finite_in_a_row",
    "metrics",
    "schedules",
    "stop_reason",
)


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
    valid: dict[str, float] = field(default_factory=dict)
    """Metrics of the validation at `validated`."""
    num_skipped_updates: int = 0
    """Attempted updates that were not made, because of an overflow or a batch that is not finite."""
    num_skipped_examples: int = 0
    """Examples of those."""
    num_non_finite: int = 0
    """Batches that were not finite, those before a rollback included."""
    num_non_finite_in_a_row: int = 0
    """Those since the last update, or with the policy `rollback` since the last checkpoint."""
    precision: dict[str, Any] = field(default_factory=dict)
    """State of the precision, such as the loss scale."""
    metrics: dict[str, list[float]] = field(default_factory=dict)
    """Sums and counts of the training metrics since the last time they were logged."""
    lrs: dict[str, float] = field(default_factory=dict)
    """Learning rate of the last update, by the name of the group of parameters."""
    schedules: dict[str, Any] = field(default_factory=dict)
    """State of the learning-rate schedules that have one, by the same names."""
    stop_reason: str | None = None

    def begin_run(self, *, same_order: bool) -> None:
        """Go on as a new run: what this one has validated, saved, skipped and found best does not count.

        Args:
            same_order: the position in the epoch still means the same; otherwise the next epoch begins.
        """
        fresh = Progress()
        for name in FRESH_IN_A_NEW_RUN:
            setattr(self, name, getattr(fresh, name))
        if not same_order and self.batch:
            self.epoch, self.batch = self.epoch + 1, 0
        self.validated = self.saved = self.now

    def move_on(self, num_micro_batches: int, num_in_epoch: int) -> None:
        """Leave micro-batches behind; the end of an epoch is the beginning of the next."""
        self.batch += num_micro_batches
        if self.batch >= num_in_epoch:
            self.epoch, self.batch = self.epoch + 1, 0

    @property
    def now(self) -> Mark:
        return Mark(self.update, self.epoch, self.seconds)

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        marks = {name: Mark(**state[name]) for name in ("validated", "saved")}
        return cls(**{**state, **marks})
