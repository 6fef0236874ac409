"""What holds for every learning-rate schedule."""

import json
import math
from collections.abc import Callable, Iterator

import pytest

from seqexp.catalog import CATALOG, import_config
from seqexp.config.build import build
from seqexp.lr_schedulers.base import LRScheduler, LRSchedulerConfig
from seqexp.lr_schedulers.cosine import CosineConfig
from seqexp.lr_schedulers.fixed import FixedConfig
from seqexp.lr_schedulers.manual import ManualConfig
from seqexp.lr_schedulers.polynomial_decay import PolynomialDecayConfig
from seqexp.lr_schedulers.reduce_lr_on_plateau import ReduceLROnPlateauConfig
from seqexp.lr_schedulers.warmup_stable_decay import DecayShape, WarmupStableDecayConfig

NUM_UPDATES, PER_EPOCH = 60, 12
CONFIGS: dict[str, LRSchedulerConfig] = {
    **{
        name: config
        for name, location in CATALOG["lr_scheduler"].items()
        if isinstance(config := import_config(location)(), LRSchedulerConfig) and config.gives_rates
    },
    "cosine_in_periods": CosineConfig(warmup_updates=5, period_updates=10, period_growth=1.5, shrink=0.5),
    "fixed_annealed": FixedConfig(epoch_scales=[1.0, 0.7], anneal_from_epoch=3, warmup_updates=4),
    "manual_rates": ManualConfig(epochs=[2], epoch_scales=[0.5], updates=[50], update_scales=[0.1]),
    "polynomial_by_epoch": PolynomialDecayConfig(epoch_scales=[1.0, 0.5, 0.2]),
    "patient_plateau": ReduceLROnPlateauConfig(warmup_updates=7, patience=1, shrink=0.5),
    "linear_decay": WarmupStableDecayConfig(warmup_updates=6, shape=DecayShape.linear),
}


@pytest.fixture(params=CONFIGS)
def make(request: pytest.FixtureRequest) -> Callable[[], LRScheduler]:
    """Makes the schedule as it is at the start of a run."""
    return lambda: build(CONFIGS[request.param], lr=0.02, max_updates=NUM_UPDATES)


def run(schedule: LRScheduler, start: int = 0) -> Iterator[float]:
    """The rates of a run of a few epochs, which validates every four updates; it may go on in the middle."""
    schedule.at_epoch(start // PER_EPOCH)
    for update in range(start, NUM_UPDATES):
        yield schedule.lr_at(update)
        schedule.at_epoch((update + 1) // PER_EPOCH)
        if (update + 1) % 4 == 0:
            schedule.validated(update + 1, math.sin(update), maximize=True)


def test_rates_are_from_0_to_the_peak(make: Callable[[], LRScheduler]) -> None:
    rates = list(run(make()))
    assert 0 < max(rates) <= 0.02
    assert min(rates) >= 0


def test_to_ask_changes_nothing(make: Callable[[], LRScheduler]) -> None:
    schedule, found = make(), []
    for rate in run(schedule):
        found.append(rate)
        schedule.lr_at(3)
        schedule.lr_at(10 * NUM_UPDATES)
    assert found == list(run(make()))


@pytest.mark.parametrize("at", [1, 12, 17, 40])
def test_an_interruption_changes_nothing(make: Callable[[], LRScheduler], at: int) -> None:
    before = make()
    rates = run(before)
    found = [next(rates) for _ in range(at)]
    next(rates)  # everything after update `at` was told
    after = make()
    after.load(json.loads(json.dumps(before.state())))
    assert found + list(run(after, at)) == list(run(make()))


def test_it_goes_back_to_an_earlier_state(make: Callable[[], LRScheduler]) -> None:
    """As a rollback asks of it."""
    schedule = make()
    rates = run(schedule)
    for _ in range(21):
        next(rates)
    state = json.loads(json.dumps(schedule.state()))
    expected = list(run(schedule, 20))
    schedule.load(state)
    assert list(run(schedule, 20)) == expected
