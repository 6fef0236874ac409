"""Learning-rate schedules: functions of the number of finished updates and, some, of epochs or validations."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from seqexp.config.base import ComponentConfig, require


@dataclass
class LRSchedulerConfig(ComponentConfig):
    """Base of all schedules' configs."""

    gives_rates: ClassVar[bool] = True
    """False for the one that stands for none."""


@dataclass
class WarmupConfig(LRSchedulerConfig):
    """Base of the configs of schedules with a warm-up."""

    warmup_updates: int = 0
    """Updates over which the rate rises linearly from `warmup_init_lr` to its peak, the optimizer's `lr`."""

    def __post_init__(self) -> None:
        require(self.warmup_updates >= 0, "warmup_updates", self.warmup_updates, "a count from 0")


class LRScheduler(ABC):
    """Gives the rate; does not touch the optimizer.

    Between two calls of `at_epoch`, `validated` and `load` it is a pure function of the update, and the same whatever
    was asked before. Where it depends on validations, `state` holds what is to be known of them.
    """

    @abstractmethod
    def lr_at(self, update: int) -> float:
        """The rate of the update that follows `update` finished ones (0 for the first)."""

    def at_epoch(self, epoch: int) -> None:  # noqa: B027
        """Told the number of the current epoch, from 0, whenever it may have changed; often it has not."""

    def validated(self, update: int, value: float, *, maximize: bool) -> None:  # noqa: B027
        """Told of every validation after `update` updates; `value` is that of `checkpoint.metric`, whose better
        direction `maximize` gives."""

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON values."""
        return {}

    def load(self, state: dict[str, Any]) -> None:  # noqa: B027
        """Take over what `state` gave."""


def warmup(update: int, num_updates: int, start: float, peak: float) -> float:
    """Linear from `start` at update 0 to `peak` at update `num_updates`."""
    return start + update * (peak - start) / num_updates


def require_scales(field: str, scales: Sequence[float]) -> None:
    require(bool(scales) and min(scales) >= 0, field, scales, "one number or more, none below 0")


def scale_of_epoch(scales: Sequence[float], epoch: int) -> float:
    """That of an epoch, from 0; the last one is kept."""
    return scales[min(epoch, len(scales) - 1)]


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
