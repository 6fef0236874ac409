"""Every rule computes what its formula says; the numbers are made by tests/goldens/update_rules.py."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqexp.catalog import CATALOG, import_config
from seqexp.config.build import build
from seqexp.optimizers.base import weights_to_evaluate
from tests.goldens.update_rules import DECAY, EPS, PATH, RATES

OPTIONS: dict[str, dict[str, Any]] = {
    "adam": {"eps": EPS, "betas": [0.9, 0.98]},
    "adamw": {"eps": EPS, "betas": [0.9, 0.98]},
    "cpu_adam": {"eps": EPS, "betas": [0.9, 0.98]},
    "adam_fairseq": {"eps": EPS, "betas": [0.9, 0.98]},
    "adamax": {"eps": EPS, "betas": [0.9, 0.98]},
    "adagrad": {"eps": EPS},
    "adadelta": {"eps": EPS},
    "adafactor": {"clip_threshold": 0.9},
    "adafactor_with_mean": {"clip_threshold": 0.9, "beta1": 0.9},
    "sgd": {"momentum": 0.9},
    "sgd_nesterov": {"momentum": 0.9, "nesterov": True},
    "nag": {"momentum": 0.9},
    "lamb": {"eps": EPS},
    "lamb_undecayed": {"eps": EPS, "always_adapt": False, "weight_decay": 0.0},
    "lion": {"betas": [0.9, 0.98]},
    "schedule_free": {"eps": EPS},
}
GOLDENS = json.loads(PATH.read_text())


def gradient(weight: Tensor, step: int) -> Tensor:
    return torch.sin(3 * weight + step) / 2 + 0.01 * weight**3


def start(*shape: int) -> nn.Parameter:
    numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(shape)
    return nn.Parameter(torch.cos(numbers + 1))


def component(case: str) -> str:
    return next(name for name in (case, case.split("_")[0]) if name in CATALOG["optimizer"])


def trained(case: str) -> tuple[torch.optim.Optimizer, list[nn.Parameter]]:
    weights = [start(2, 3), start(4)]
    options = {"lr": 1.0, "weight_decay": DECAY, **OPTIONS[case]}
    optimizer = build(import_config(CATALOG["optimizer"][component(case)])(**options), params=weights)
    for step, lr in enumerate(RATES, 1):
        optimizer.param_groups[0]["lr"] = lr
        for weight in weights:
            weight.grad = gradient(weight.detach(), step)
        optimizer.step()
    return optimizer, weights


@pytest.mark.parametrize("case", OPTIONS)
def test_the_formula(case: str) -> None:
    _, weights = trained(case)
    for weight, expected in zip(weights, GOLDENS[case], strict=True):
        torch.testing.assert_close(weight.detach(), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_every_rule_of_ours_has_a_golden() -> None:
    without = {"composite", "muon", "adamw_8bit"}  # of other optimizers, 16 bits, 8 bits
    assert {component(case) for case in OPTIONS} == set(CATALOG["optimizer"]) - without
    assert set(OPTIONS) | {"schedule_free_evaluated"} == set(GOLDENS)


def test_schedule_free_evaluates_the_average() -> None:
    optimizer, weights = trained("schedule_free")
    before = [weight.detach().clone() for weight in weights]
    with weights_to_evaluate(optimizer):
        for weight, expected in zip(weights, GOLDENS["schedule_free_evaluated"], strict=True):
            torch.testing.assert_close(weight.detach(), torch.tensor(expected, dtype=torch.float64))
    assert all(torch.equal(*pair) for pair in zip(weights, before, strict=True))


def test_a_parameter_without_gradient_stays() -> None:
    for name in ("adam_fairseq", "lion"):
        weight = start(3)
        optimizer = build(import_config(CATALOG["optimizer"][name])(weight_decay=0.1), params=[weight])
        optimizer.step()
        assert torch.equal(weight.detach(), start(3).detach())
        assert not optimizer.state


def test_lamb_moves_a_weight_that_is_zero() -> None:
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.ones(3)
    optimizer = build(import_config(CATALOG["optimizer"]["lamb"])(lr=0.1), params=[weight])
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((3,), -0.1))
    weight.grad = torch.zeros(3)
    before = weight.detach().clone()
    for _ in range(200):  # the momentum dies out
        optimizer.step()
    assert weight.isfinite().all()
    assert not torch.equal(weight.detach(), before)


@pytest.mark.parametrize(("weights_on", "copied"), [("cpu", False), ("gpu", True)])
def test_cpu_adam_equals_adamw(monkeypatch: pytest.MonkeyPatch, weights_on: str, copied: bool) -> None:
    """With copies too, as it makes of weights on a GPU."""
    from seqexp.optimizers.cpu_adam import CPUAdam, CPUAdamConfig

    if copied:
        monkeypatch.setattr(CPUAdam, "in_main_memory", lambda self, weight: nn.Parameter(weight.detach().clone()))
    weight, expected = start(2, 3), start(2, 3)
    offloaded = build(CPUAdamConfig(lr=0.1), params=[{"params": [weight]}])
    adamw = build(import_config(CATALOG["optimizer"]["adamw"])(lr=0.1), params=[expected])
    assert bool(offloaded.pairs) is copied
    for step in range(3):
        for parameter, optimizer in ((weight, offloaded), (expected, adamw)):
            optimizer.zero_grad()
            assert parameter.grad is None
            parameter.grad = gradient(parameter.detach(), step)
            optimizer.step()
    assert torch.equal(weight, expected)
    # A model that was loaded anew: its weights, not the copies, are what goes on.
    again = start(2, 3)
    resumed = build(CPUAdamConfig(lr=0.1), params=[{"params": [again]}])
    with torch.no_grad():
        again.copy_(weight)
    resumed.load_state_dict(offloaded.state_dict())
    for parameter, optimizer in ((again, resumed), (expected, adamw)):
        parameter.grad = gradient(parameter.detach(), 3)
        optimizer.step()
    assert torch.equal(again, expected)


def test_8_bits_need_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from seqexp.optimizers.adamw_8bit import AdamW8bitConfig
    from seqexp.runtime.errors import UserError

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UserError, match=r"bitsandbytes is not installed .*: pip install 'seqexp\[bitsandbytes\]'"):
        build(AdamW8bitConfig(), params=[start(2)])
