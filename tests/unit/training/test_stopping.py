import pytest
from omegaconf import OmegaConf

from seqexp.config.build import build
from seqexp.lr_schedulers.constant import ConstantConfig
from seqexp.lr_schedulers.inverse_sqrt import InverseSqrtConfig
from seqexp.lr_schedulers.reduce_lr_on_plateau import ReduceLROnPlateauConfig
from seqexp.training.config import StopConfig
from seqexp.training.progress import Progress
from seqexp.training.schedules import GroupSchedules
from seqexp.training.stopping import stop_reason

SCHEDULE = build(InverseSqrtConfig(warmup_updates=100), lr=1.0, max_updates=None)


@pytest.mark.parametrize(
    ("config", "goes_on", "ends"),
    [
        (StopConfig(max_updates=10), Progress(update=9), Progress(update=10)),
        (StopConfig(max_epochs=2), Progress(epoch=1), Progress(epoch=2)),
        (StopConfig(max_hours=0.5), Progress(seconds=1799), Progress(seconds=1800)),
        (StopConfig(patience=3), Progress(num_validations_since_best=2), Progress(num_validations_since_best=3)),
        (StopConfig(min_lr=0.5), Progress(update=399, lrs={"": 0.51}), Progress(update=400, lrs={"": 0.501})),
    ],
)
def test_each_rule(config: StopConfig, goes_on: Progress, ends: Progress) -> None:
    assert stop_reason(config, goes_on, SCHEDULE) is None
    reason = stop_reason(config, ends, SCHEDULE)
    assert reason is not None
    assert reason.startswith("stop.")


def test_a_low_rate_of_the_warmup_does_not_end_the_run() -> None:
    assert stop_reason(StopConfig(min_lr=0.5), Progress(update=10, lrs={"": 0.09}), SCHEDULE) is None


def test_a_rate_that_a_validation_has_lowered_ends_the_run() -> None:
    plateau = build(ReduceLROnPlateauConfig(shrink=0.1), lr=1.0, max_updates=None)
    progress = Progress(update=5, lrs={"": 1.0})
    plateau.validated(5, 2.0, maximize=False)
    assert stop_reason(StopConfig(min_lr=0.1), progress, plateau) is None
    plateau.validated(5, 3.0, maximize=False)
    assert stop_reason(StopConfig(min_lr=0.1), progress, plateau) == "stop.min_lr=0.1"


def test_the_highest_rate_of_all_groups_counts() -> None:
    quick = build(ConstantConfig(), lr=0.3, max_updates=None)
    progress = Progress(update=400, lrs={"a": 0.501, "b": 0.3})
    schedules = GroupSchedules({"a": SCHEDULE, "b": quick})
    assert stop_reason(StopConfig(min_lr=0.5), progress, schedules) is not None
    progress.lrs["b"] = 0.6
    other = GroupSchedules({"a": SCHEDULE, "b": build(ConstantConfig(), lr=0.6, max_updates=None)})
    assert stop_reason(StopConfig(min_lr=0.5), progress, other) is None


def test_a_rate_that_came_down_long_ago_ends_the_run() -> None:
    """As in a run that continues one at the end of its schedule."""
    constant = build(ConstantConfig(warmup_updates=5), lr=0.1, max_updates=None)
    assert stop_reason(StopConfig(min_lr=0.1), Progress(update=3, lrs={"": 0.04}), constant) is None
    assert stop_reason(StopConfig(min_lr=0.1), Progress(update=50, lrs={"": 0.1}), constant) == "stop.min_lr=0.1"


def test_only_a_run_without_any_rule_gets_one() -> None:
    assert StopConfig().epochs == 4
    assert StopConfig(max_updates=5).epochs is None
    assert StopConfig(max_updates=5, max_epochs=2).epochs == 2


def test_the_default_rule_does_not_mix_with_one_from_the_command_line() -> None:
    node = OmegaConf.merge(OmegaConf.structured(StopConfig()), {"max_updates": 5})
    config = OmegaConf.to_object(node)
    assert isinstance(config, StopConfig)
    assert config.epochs is None
