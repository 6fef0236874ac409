"""Schedules agree with the rates that fairseq computed."""

import json
from pathlib import Path
from typing import Any

import pytest

from seqexp.config.build import build
from seqexp.lr_schedulers.base import LRSchedulerConfig
from seqexp.lr_schedulers.cosine import CosineConfig
from seqexp.lr_schedulers.fixed import FixedConfig
from seqexp.lr_schedulers.inverse_sqrt import InverseSqrtConfig
from seqexp.lr_schedulers.polynomial_decay import PolynomialDecayConfig
from seqexp.lr_schedulers.step import StepConfig
from seqexp.lr_schedulers.tri_stage import TriStageConfig
from seqexp.lr_schedulers.triangular import TriangularConfig

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


def tri_stage(a: dict[str, Any]) -> LRSchedulerConfig:
    return TriStageConfig(
        parts=a["phase_ratio"],
        warmup_updates=a["warmup_steps"],
        hold_updates=a["hold_steps"],
        decay_updates=a["decay_steps"],
        init_scale=a["init_lr_scale"],
        final_scale=a["final_lr_scale"],
    )


def triangular(a: dict[str, Any]) -> LRSchedulerConfig:
    return TriangularConfig(
        min_lr=a["lr"][0],
        period_updates=int(a["lr_period_updates"]),
        shrink=a["lr_shrink"],
        shrink_min=a["shrink_min"],
    )


def fixed(a: dict[str, Any]) -> LRSchedulerConfig:
    return FixedConfig(
        warmup_updates=a["warmup_updates"],
        epoch_scales=[lr / a["lr"][0] for lr in a["lr"]],
        anneal_from_epoch=a["force_anneal"],
        shrink=a["lr_shrink"],
    )


def step(a: dict[str, Any]) -> LRSchedulerConfig:
    return StepConfig(
        warmup_updates=a["warmup_updates"],
        warmup_init_lr=a["warmup_init_lr"] if a["warmup_init_lr"] >= 0 else None,
        min_lr=a["min_lr"],
        period_updates=a["lr_deacy_period"],
        decay=a["lr_decay"],
    )


MAKERS = [inverse_sqrt, cosine, polynomial_decay, tri_stage, triangular, fixed, step]


@pytest.mark.parametrize("make", MAKERS)
def test_rates_equal_the_peers(shared: Path, make: Any) -> None:
    cases = json.loads((shared / "golden/peer_cases/small.json").read_text())["lr_schedulers"][make.__name__]
    for case in cases:
        peak = case["args"].get("max_lr", case["args"]["lr"][0])
        schedule = build(make(case["args"]), lr=peak, max_updates=None)
        rates = []
        for update in range(len(case["lr_after_step_update_n_from_0"])):
            schedule.at_epoch(update // case["updates_per_epoch"])
            rates.append(schedule.lr_at(update))
        assert rates == pytest.approx(case["lr_after_step_update_n_from_0"], rel=1e-12)


def test_every_case_of_the_peer_is_here(shared: Path) -> None:
    cases = json.loads((shared / "golden/peer_cases/small.json").read_text())["lr_schedulers"]
    assert {make.__name__ for make in MAKERS} == set(cases)
