"""Schedules agree with the rates that fairseq computed."""

import json
from pathlib import Path
from typing import Any

import pytest

from seqexp.config.build import build
from seqexp.lr_schedulers.base import LRSchedulerConfig
from seqexp.lr_schedulers.cosine import CosineConfig
from seqexp.lr_schedulers.inverse_sqrt import InverseSqrtConfig
from seqexp.lr_schedulers.polynomial_decay import PolynomialDecayConfig

pytestmark = pytest.mark.shared


def inverse_sqrt(a: dict[str, Any]) -> LRSchedulerConfig:
    return InverseSqrtConfig(warmup_updates=a["warmup_updates"], warmup_init_lr=max(a["warmup_init_lr"], 0.0))


def cosine(a: dict[str, Any]) -> LRSchedulerConfig:
    return CosineConfig(
        warmup_updates=a["warmup_updates"],
        warmup_init_lr=a["warmup_init_lr"] if a["warmup_init_lr"] >= 0 else None,
        min_lr=a["min_lr"],
        period_growth=a["t_mult"],
        period_updates=int(a["lr_period_updates"]),
        shrink=a["lr_shrink"],
    )


def polynomial_decay(a: dict[str, Any]) -> LRSchedulerConfig:
    return PolynomialDecayConfig(
        warmup_updates=a["warmup_updates"],
        end_lr=a["end_learning_rate"],
        power=a["power"],
        total_updates=int(a["total_num_update"]),
    )


@pytest.mark.parametrize("make", [inverse_sqrt, cosine, polynomial_decay])
def test_rates_equal_the_peers(shared: Path, make: Any) -> None:
    cases = json.loads((shared / "golden/peer_cases/small.json").read_text())["lr_schedulers"][make.__name__]
    for case in cases:
        schedule = build(make(case["args"]), lr=case["args"]["lr"][0], max_updates=None)
        rates = case["lr_after_step_update_n_from_0"]
        assert [schedule.lr_at(update) for update in range(len(rates))] == pytest.approx(rates, rel=1e-12)
