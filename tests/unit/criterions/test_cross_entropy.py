from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig
from seqexp.criterions.smoothed_cross_entropy import smoothed_cross_entropy

PAD = 1


def test_equals_torch(example: Any) -> None:
    output = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)(example.model, example.batch)
    (gradient,) = torch.autograd.grad(output.sum, example.logits)
    targets = example.batch.target_tokens.flatten()
    expected = F.cross_entropy(example.logits.flatten(0, 1), targets, ignore_index=PAD, reduction="sum")
    (expected_gradient,) = torch.autograd.grad(expected, example.logits)
    torch.testing.assert_close(output.sum, expected)
    torch.testing.assert_close(output.metrics["nll_loss"], expected.detach())
    torch.testing.assert_close(gradient, expected_gradient)
    assert output.num_targets == 6
    assert not output.metrics["nll_loss"].requires_grad


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_gradient(smoothing: float) -> None:
    """Against torch's own smoothing, through a further operation, in float32."""
    torch.manual_seed(0)
    logits, targets = torch.randn(6, 9, requires_grad=True), torch.tensor([3, PAD, 8, 0, PAD, 5])
    loss, _ = smoothed_cross_entropy(logits, targets, smoothing, PAD)
    (gradient,) = torch.autograd.grad(loss * 0.25, logits)
    expected = F.cross_entropy(logits, targets, ignore_index=PAD, reduction="sum", label_smoothing=smoothing)
    (expected_gradient,) = torch.autograd.grad(expected * 0.25, logits)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_half_precision_is_summed_in_single() -> None:
    torch.manual_seed(0)
    logits = torch.randn(400, 50).bfloat16().requires_grad_()
    targets = torch.randint(2, 50, (400,))
    loss, nll_loss = smoothed_cross_entropy(logits, targets, 0.1, PAD)
    assert loss.dtype == nll_loss.dtype == torch.float32
    expected, _ = smoothed_cross_entropy(logits.detach().float(), targets, 0.1, PAD)
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16


def test_huge_scores() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0, float("-inf")]], requires_grad=True)
    loss, _ = smoothed_cross_entropy(logits, torch.tensor([0]), 0.0, PAD)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_only_padding() -> None:
    logits = torch.randn(3, 5, requires_grad=True)
    loss, nll_loss = smoothed_cross_entropy(logits, torch.full((3,), PAD), 0.1, PAD)
    loss.backward()
    assert loss.item() == nll_loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_gradient_is_made_once() -> None:
    logits = torch.randn(3, 5, requires_grad=True)
    loss, _ = smoothed_cross_entropy(logits, torch.tensor([2, 3, 4]), 0.1, PAD)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_batch_without_targets(example: Any) -> None:
    criterion = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)
    with pytest.raises(ValueError, match="batches with targets"):
        criterion(example.model, replace(example.batch, target_tokens=None))
