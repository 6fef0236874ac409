"""Properties of single schedules."""

import pytest

from seqexp.config.build import build
from seqexp.lr_schedulers.constant import ConstantConfig
from seqexp.lr_schedulers.cosine import CosineConfig
from seqexp.lr_schedulers.inverse_sqrt import InverseSqrtConfig
from seqexp.lr_schedulers.polynomial_decay import PolynomialDecayConfig
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
