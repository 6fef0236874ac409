"""Optimizers train a small weight as fairseq's do."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqexp.config.build import build
from seqexp.optimizers.adadelta import AdadeltaConfig
from seqexp.optimizers.adafactor import AdafactorConfig
from seqexp.optimizers.adagrad import AdagradConfig
from seqexp.optimizers.adam_fairseq import AdamFairseqConfig
from seqexp.optimizers.adamax import AdamaxConfig
from seqexp.optimizers.adamw import AdamWConfig
from seqexp.optimizers.base import SingleOptimizerConfig
from seqexp.optimizers.cpu_adam import CPUAdamConfig
from seqexp.optimizers.nag import NAGConfig
from seqexp.optimizers.sgd import SGDConfig

pytestmark = pytest.mark.shared


def numbers(value: Any) -> list[float]:
    """A pair is given as a list or written as `(0.9, 0.999)`."""
    return [float(part) for part in value.strip("()").split(",")] if isinstance(value, str) else value


def adafactor(a: dict[str, Any]) -> SingleOptimizerConfig:
    return AdafactorConfig(
        eps=numbers(a["adafactor_eps"]),
        clip_threshold=a["clip_threshold"],
        decay_rate=-a["decay_rate"],
        beta1=a["beta1"],
        scale_parameter=a["scale_parameter"],
    )


CASES: dict[str, tuple[str, Any]] = {
    "adam": ("adam", lambda a: AdamFairseqConfig(betas=numbers(a["adam_betas"]), eps=a["adam_eps"])),
    "adam as adamw": ("adam", lambda a: AdamWConfig(betas=numbers(a["adam_betas"]), eps=a["adam_eps"])),
    "adam as cpu_adam": ("adam", lambda a: CPUAdamConfig(betas=numbers(a["adam_betas"]), eps=a["adam_eps"])),
    "nag": ("nag", lambda a: NAGConfig(momentum=a["momentum"])),
    "sgd": ("sgd", lambda a: SGDConfig(momentum=a["momentum"])),
    "adagrad": ("adagrad", lambda a: AdagradConfig()),
    "adadelta": ("adadelta", lambda a: AdadeltaConfig(rho=a["adadelta_rho"], eps=a["adadelta_eps"])),
    "adamax": (
        "adamax",
        lambda a: AdamaxConfig(
            betas=numbers(a["adamax_betas"]), eps=a["adamax_eps"], bias_correction=not a["no_bias_correction"]
        ),
    ),
    "adafactor": ("adafactor", adafactor),
}


@pytest.mark.parametrize("case", CASES)
def test_weights_equal_the_peers(shared: Path, case: str) -> None:
    name, make = CASES[case]
    data = json.loads((shared / "golden/peer_cases/small.json").read_text())["optimizers"]
    weight = nn.Parameter(torch.tensor(data["w0"]))
    inputs, targets = torch.tensor(data["A"]), torch.tensor(data["t"])
    given = data["cases"][name]
    config = make(given["args"])
    config.lr, config.weight_decay = given["args"]["lr"][0], given["args"]["weight_decay"]
    optimizer = build(config, params=[weight])
    for _ in range(given["steps"]):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(weight @ inputs, targets).backward()
        size = weight.detach().square().mean().sqrt().clamp(min=1e-3).item()
        optimizer.step()
        if name == "adafactor":
            # The peer writes the scaled rate back to its options, where its schedule would overwrite it.
            optimizer.param_groups[0]["lr"] *= size
    torch.testing.assert_close(weight.detach(), torch.tensor(given["final"]), atol=2e-6, rtol=1e-5)


def test_every_case_of_the_peer_is_here(shared: Path) -> None:
    data = json.loads((shared / "golden/peer_cases/small.json").read_text())["optimizers"]
    assert {name for name, _ in CASES.values()} == set(data["cases"])
