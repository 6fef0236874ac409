"""The learning rates of an optimizer's groups of parameters."""

from collections.abc import Mapping
from typing import Any

from seqexp.config.build import build
from seqexp.lr_schedulers.base import LRScheduler, LRSchedulerConfig
from seqexp.optimizers.base import OptimizerConfig, SingleOptimizerConfig
from seqexp.runtime.errors import UserError

ALL = ""
"""Name of the only group where an optimizer has none that are named."""


class GroupSchedules(LRScheduler):
    """The schedule of every group; the rate of all of them together is the highest."""

    def __init__(self, by_group: Mapping[str, LRScheduler]) -> None:
        self.by_group = by_group

    def rates_at(self, update: int) -> dict[str, float]:
        """The rate of each group, for the update that follows `update` finished ones."""
        return {name: schedule.lr_at(update) for name, schedule in self.by_group.items()}

    def lr_at(self, update: int) -> float:
        return max(self.rates_at(update).values())

    def at_epoch(self, epoch: int) -> None:
        for schedule in self.by_group.values():
            schedule.at_epoch(epoch)

    def validated(self, update: int, value: float, *, maximize: bool) -> None:
        for schedule in self.by_group.values():
            schedule.validated(update, value, maximize=maximize)

    def state(self) -> dict[str, Any]:
        states = {name: schedule.state() for name, schedule in self.by_group.items()}
        return {name: state for name, state in states.items() if state}

    def load(self, state: dict[str, Any]) -> None:
        for name, values in state.items():
            self.by_group[name].load(values)


def build_schedules(
    lr_scheduler: LRSchedulerConfig, optimizer: OptimizerConfig, max_updates: int | None
) -> GroupSchedules:
    """A schedule for each group of the optimizer, from the group's `lr_scheduler` or else the run's.

    Raises:
        UserError: the schedule needs the run's length, which is None; or nothing would follow the run's.
    """
    groups = optimizer.groups_of_parameters()
    if not groups:
        assert isinstance(optimizer, SingleOptimizerConfig)
        return GroupSchedules({ALL: build(lr_scheduler, lr=optimizer.lr, max_updates=max_updates)})
    if lr_scheduler.gives_rates and all(group.lr_scheduler is not None for group in groups.values()):
        raise UserError("every one of optimizer.groups has an lr_scheduler of its own: give lr_scheduler=pass_through")
    return GroupSchedules(
        {
            name: build(group.lr_scheduler or lr_scheduler, lr=group.optimizer.lr, max_updates=max_updates)
            for name, group in groups.items()
        }
    )
