import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from seqexp.criterions.label_smoothed_cross_entropy import (
    LabelSmoothedCrossEntropy,
    LabelSmoothedCrossEntropyConfig,
    SmoothingConvention,
)
from tests.unit.criterions.conftest import Example, batch_of

PAD = 1


def loss(example: Any, label_smoothing: float, convention: SmoothingConvention) -> tuple[float, float]:
    config = LabelSmoothedCrossEntropyConfig(label_smoothing=label_smoothing, convention=convention)
    output = LabelSmoothedCrossEntropy(config, padding_index=PAD)(example.model, example.batch)
    return output.sum.item(), output.metrics["nll_loss"].item()


def by_definition(example: Any, on_target: float, on_others: float) -> float:
    log_probs = F.log_softmax(example.logits.detach().flatten(0, 1), dim=1)
    total = 0.0
    for row, target in zip(log_probs, example.batch.target_tokens.flatten().tolist(), strict=True):
        if target != PAD:
            weights = torch.full_like(row, on_others)
            weights[target] = on_target
            total -= float((weights * row).sum())
    return total


@pytest.mark.parametrize("s", [0.0, 0.1, 0.4])
def test_conventions(example: Any, s: float) -> None:
    num_words = 7
    fairseq, nll_loss = loss(example, s, SmoothingConvention.fairseq)
    assert fairseq == pytest.approx(by_definition(example, 1 - s, s / (num_words - 1)), rel=1e-5)
    torch_loss, _ = loss(example, s, SmoothingConvention.torch)
    assert torch_loss == pytest.approx(by_definition(example, 1 - s + s / num_words, s / num_words), rel=1e-5)
    assert nll_loss == pytest.approx(by_definition(example, 1, 0), rel=1e-5)


def test_published_numbers() -> None:
    """Those of fairseq's own test, whose old convention is torch's."""
    probabilities = [
        [0.05, 0.05, 0.1, 0.05, 0.3, 0.4, 0.05],
        [0.05, 0.10, 0.2, 0.05, 0.2, 0.3, 0.10],
        [0.05, 0.15, 0.3, 0.05, 0.1, 0.2, 0.15],
    ]
    example = Example(torch.tensor([probabilities] * 2).log(), batch_of(torch.tensor([[4, 4, 2], [4, 2, PAD]])))
    assert loss(example, 0.1, SmoothingConvention.fairseq) == pytest.approx((7.329739, 6.830794), abs=1e-5)
    assert loss(example, 0.1, SmoothingConvention.torch) == pytest.approx((7.258461, 6.830794), abs=1e-5)


def test_peer(shared: Path) -> None:
    numbers = json.loads((shared / "golden" / "peer_cases" / "small.json").read_text())["label_smoothing"]
    example = Example(torch.tensor([numbers["logits"]]), batch_of(torch.tensor([numbers["target"]])))
    for case in numbers["cases"]:
        assert case["ignore_index"] == PAD
        ours = loss(example, case["epsilon"], SmoothingConvention.fairseq)
        assert ours == pytest.approx((case["loss"], case["nll_loss"]), rel=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_invalid(value: float) -> None:
    with pytest.raises(ValueError, match=f"label_smoothing={value} is not valid"):
        LabelSmoothedCrossEntropyConfig(label_smoothing=value)
