"""No schedule for the run: each group of parameters has its own."""

from dataclasses import dataclass
from typing import ClassVar, NoReturn

from seqexp.lr_schedulers.base import LRSchedulerConfig


@dataclass
class PassThroughConfig(LRSchedulerConfig):
    """For `optimizer=composite` where every group has an `lr_scheduler`, so that none follows the run's."""

    gives_rates: ClassVar[bool] = False

    _target_: str = "seqexp.lr_schedulers.pass_through.no_schedule"


def no_schedule(config: PassThroughConfig, *, lr: float, max_updates: int | None) -> NoReturn:
    """
    Raises:
        ValueError: somebody wants a rate of it.
    """
    raise ValueError(
        "lr_scheduler=pass_through gives no rate: it is for optimizer=composite with an lr_scheduler in every group"
    )
