"""Properties of single schedules."""

import json
import random

import pytest
import torch

from seqexp.config.build import build
from seqexp.lr_schedulers.base import LRSchedulerConfig
from seqexp.lr_schedulers.constant import ConstantConfig
from seqexp.lr_schedulers.cosine import CosineConfig
from seqexp.lr_schedulers.fixed import FixedConfig
from seqexp.lr_schedulers.inverse_sqrt import InverseSqrtConfig
from seqexp.lr_schedulers.manual import ManualConfig
from seqexp.lr_schedulers.one_cycle import Annealing, OneCycleConfig
from seqexp.lr_schedulers.pass_through import PassThroughConfig
from seqexp.lr_schedulers.polynomial_decay import PolynomialDecayConfig
from seqexp.lr_schedulers.reduce_lr_on_plateau import ReduceLROnPlateauConfig
from seqexp.lr_schedulers.step import StepConfig
from seqexp.lr_schedulers.tri_stage import TriStageConfig
from seqexp.lr_schedulers.triangular import TriangularConfig
from seqexp.lr_schedulers.warmup_stable_decay import DecayShape, WarmupStableDecayConfig
from seqexp.runtime.errors import UserError


def test_constant_warms_up_from_zero() -> None:
    schedule = build(ConstantConfig(warmup_updates=4), lr=0.8, max_updates=None)
    assert [schedule.lr_at(n) for n in range(6)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 0.8])


def test_inverse_sqrt_reaches_the_peak_and_halves_at_four_times_the_warmup() -> None:
    schedule = build(InverseSqrtConfig(warmup_updates=100), lr=1.0, max_updates=None)
    assert schedule.lr_at(100) == 1.0
    assert schedule.lr_at(400) == pytest.approx(0.5)


def test_inverse_sqrt_without_warmup_starts_at_the_peak() -> None:
    schedule = build(InverseSqrtConfig(warmup_updates=0), lr=1.0, max_updates=None)
    assert [schedule.lr_at(n) for n in (0, 1, 4)] == pytest.approx([1.0, 1.0, 0.5])


def test_cosine_spans_the_run_by_default() -> None:
    schedule = build(CosineConfig(warmup_updates=10), lr=1.0, max_updates=110)
    assert schedule.lr_at(10) == 1.0
    assert schedule.lr_at(60) == pytest.approx(0.5)
    assert schedule.lr_at(109) < 0.001


def test_polynomial_decay_ends_where_the_run_does() -> None:
    schedule = build(PolynomialDecayConfig(warmup_updates=2, end_lr=0.1), lr=1.0, max_updates=12)
    assert schedule.lr_at(2) == 1.0
    assert schedule.lr_at(7) == pytest.approx(0.55)
    assert schedule.lr_at(12) == schedule.lr_at(99) == 0.1


@pytest.mark.parametrize("config", [CosineConfig(), PolynomialDecayConfig()])
def test_a_run_without_end_needs_a_length(config: CosineConfig) -> None:
    with pytest.raises(UserError, match=r"lr_scheduler\.\w+=null needs a run of known length"):
        build(config, lr=1.0, max_updates=None)


def rates(config: LRSchedulerConfig, num_updates: int, max_updates: int | None = None, lr: float = 1.0) -> list[float]:
    schedule = build(config, lr=lr, max_updates=max_updates)
    return [schedule.lr_at(update) for update in range(num_updates)]


def rates_by_epoch(config: LRSchedulerConfig, num_epochs: int) -> list[float]:
    schedule = build(config, lr=1.0, max_updates=None)
    found = []
    for epoch in range(num_epochs):
        schedule.at_epoch(epoch)
        found.append(schedule.lr_at(1000 + epoch))
    return found


def test_fixed_takes_a_scale_for_each_epoch_and_then_shrinks() -> None:
    config = FixedConfig(epoch_scales=[1.0, 0.5], anneal_from_epoch=4, shrink=0.1)
    assert rates_by_epoch(config, 5) == pytest.approx([1, 0.5, 0.5, 0.05, 0.005])
    assert rates_by_epoch(FixedConfig(epoch_scales=[1.0, 0.5]), 3) == [1, 0.5, 0.5]
    assert rates(FixedConfig(warmup_updates=4), 6) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_polynomial_decay_gives_the_first_epoch_the_first_scale() -> None:
    config = PolynomialDecayConfig(total_updates=10_000, epoch_scales=[1.0, 0.5])
    assert rates_by_epoch(config, 3) == pytest.approx([0.9, 0.5 * 0.8999, 0.5 * 0.8998])


def test_manual_holds_each_rate_until_the_next() -> None:
    config = ManualConfig(epochs=[2, 4], epoch_scales=[0.5, 0.2])
    assert rates_by_epoch(config, 5) == [1, 0.5, 0.5, 0.2, 0.2]
    assert rates(ManualConfig(updates=[0, 3], update_scales=[0.1, 2.0]), 5) == [0.1, 0.1, 0.1, 2, 2]
    both = ManualConfig(epochs=[1], epoch_scales=[0.5], updates=[1002], update_scales=[0.3])
    assert rates_by_epoch(both, 4) == [0.5, 0.5, 0.3, 0.3]


def test_step_drops_after_the_warmup_and_stops_at_the_lowest_rate() -> None:
    config = StepConfig(warmup_updates=2, min_lr=0.2, period_updates=2, decay=0.5)
    assert rates(config, 9) == pytest.approx([0.2, 0.6, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.2])


def test_tri_stage_by_parts_of_the_run() -> None:
    found = rates(TriStageConfig(parts=[0.1, 0.4, 0.5], final_scale=0.01), 101, max_updates=100)
    assert found[:11] == pytest.approx([0.01 + 0.099 * n for n in range(11)])
    assert found[10:51] == pytest.approx([1.0] * 41)
    assert found[51:] == pytest.approx([0.01 ** (n / 50) for n in range(1, 51)])
    assert rates(TriStageConfig(), 200, max_updates=100)[-1] == pytest.approx(0.01)
    with pytest.raises(UserError, match=r"lr_scheduler.parts needs a run of known length"):
        build(TriStageConfig(), lr=1.0, max_updates=None)


def test_triangular_goes_up_and_down_in_shrinking_cycles() -> None:
    found = rates(TriangularConfig(min_lr=0.2, period_updates=4, shrink=0.5), 9)
    assert found == pytest.approx([0.2, 0.6, 1, 0.6, 0.2, 0.35, 0.5, 0.35, 0.2])
    found = rates(TriangularConfig(min_lr=0.2, period_updates=4, shrink=0.5, shrink_min=True), 9)
    assert found == pytest.approx([0.2, 0.6, 1, 0.6, 0.1, 0.3, 0.5, 0.3, 0.05])
    with pytest.raises(UserError, match=r"min_lr=1 must be below optimizer.lr=1"):
        build(TriangularConfig(min_lr=1.0), lr=1.0, max_updates=None)


def test_warmup_stable_decay() -> None:
    linear = WarmupStableDecayConfig(warmup_updates=2, decay_updates=4, shape=DecayShape.linear, final_scale=0.2)
    expected = [0, 0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0.2]
    assert rates(linear, 12, max_updates=10) == pytest.approx(expected)
    root = rates(WarmupStableDecayConfig(), 101, max_updates=100)
    assert root[:81] == [1.0] * 81
    assert root[81:] == pytest.approx([1 - (n / 20) ** 0.5 for n in range(1, 21)])
    with pytest.raises(UserError, match=r"warmup_updates=9 and 2 updates of decay are more than the 10"):
        build(WarmupStableDecayConfig(warmup_updates=9), lr=1.0, max_updates=10)


@pytest.mark.parametrize("annealing", Annealing)
@pytest.mark.parametrize("total", [10, 37, 200])
def test_one_cycle_is_torchs(annealing: Annealing, total: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    torchs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, total_steps=total, anneal_strategy=annealing.value, cycle_momentum=False
    )
    expected = []
    for _ in range(total):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < total:
            torchs.step()
    found = rates(OneCycleConfig(annealing=annealing), total + 2, max_updates=total, lr=0.3)
    assert found == pytest.approx([*expected, *expected[-1:] * 2], rel=1e-9)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("patience", [0, 2])
def test_plateau_is_torchs(maximize: bool, patience: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if maximize else "min", factor=0.5, patience=patience, threshold=0.01, min_lr=0.1
    )
    config = ReduceLROnPlateauConfig(shrink=0.5, patience=patience, threshold=0.01, min_lr=0.1)
    schedule = build(config, lr=1.0, max_updates=None)
    chance = random.Random(3)
    for update in range(1, 40):
        value = 10 + chance.random() * (1 if maximize else -1) * min(update, 10)
        torchs.step(value)
        schedule.validated(update, value, maximize=maximize)
        assert schedule.lr_at(update) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        # Interrupted here, it goes on in the same way.
        state = json.loads(json.dumps(schedule.state()))
        schedule = build(config, lr=1.0, max_updates=None)
        schedule.load(state)
    assert schedule.lr_at(40) < 0.5


def test_plateau_waits_for_the_end_of_the_warmup() -> None:
    schedule = build(ReduceLROnPlateauConfig(warmup_updates=4), lr=1.0, max_updates=None)
    for update in (1, 2, 3, 4):
        schedule.validated(update, float(update), maximize=False)
    assert [schedule.lr_at(n) for n in range(5)] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    schedule.validated(5, float("nan"), maximize=False)
    assert schedule.lr_at(5) == pytest.approx(0.1)


def test_pass_through_gives_no_rate() -> None:
    with pytest.raises(UserError, match="pass_through gives no rate"):
        build(PassThroughConfig(), lr=1.0, max_updates=None)
