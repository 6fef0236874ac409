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

    @property
    def now(self) -> Mark:
        return Mark(self.update, self.epoch, self.seconds)

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        marks = {name: Mark(**state[name]) for name in ("validated", "saved")}
        return cls(**{**state, **marks})
