"""Learning-rate schedules: pure functions of the number of finished updates."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from seqexp.config.base import ComponentConfig, require


@dataclass
class LRSchedulerConfig(ComponentConfig):
    """Base of all schedules' configs."""

    warmup_updates: int = 0
    """Updates over which the rate rises linearly from `warmup_init_lr` to its peak, the optimizer's `lr`."""

    def __post_init__(self) -> None:
        require(self.warmup_updates >= 0, "warmup_updates", self.warmup_updates, "a count from 0")


class LRScheduler(ABC):
    """Gives the rate; does not touch the optimizer."""

    @abstractmethod
    def lr_at(self, update: int) -> float:
        """The rate of the update that follows `update` finished ones (0 for the first)."""


def warmup(update: int, num_updates: int, start: float, peak: float) -> float:
    """Linear from `start` at update 0 to `peak` at update `num_updates`."""
    return start + update * (peak - start) / num_updates


def horizon(option: str, value: int | None, max_updates: int | None) -> int:
    """`value`, or the run's length in updates where it is None.

    Raises:
        ValueError: neither is known.
    """
    length = max_updates if value is None else value
    if length is None:
        raise ValueError(
            f"lr_scheduler.{option}=null needs a run of known length: set stop.max_updates or stop.max_epochs"
        )
    return length
