"""The loss in chunks is that of all scores at once, and so are its gradients."""

import contextlib
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqexp.config.base import OptionError
from seqexp.criterions.chunked_cross_entropy import chunked_cross_entropy
from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig
from seqexp.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropy, LabelSmoothedCrossEntropyConfig
from seqexp.criterions.smoothed_cross_entropy import smoothed_cross_entropy
from seqexp.data.batch import Batch
from seqexp.models.base import ModelOutput

from .conftest import PAD, batch_of

NUM_TARGETS, WIDTH, NUM_WORDS = 23, 8, 40
TARGETS = torch.randint(2, NUM_WORDS, (NUM_TARGETS,), generator=torch.Generator().manual_seed(2))
TARGETS[::5] = PAD


@dataclass
class Found:
    """What a loss comes to, and the gradients of states, weight and bias."""

    loss: Tensor
    nll: Tensor
    gradients: list[Tensor]


def run(chunk_size: int, *, bias: bool = True, scale: float = 1.0, smoothing: float = 0.1, **autocast: Any) -> Found:
    """With states and weights that are the same for all; `chunk_size` 0 for all scores at once."""
    torch.manual_seed(3)
    states = torch.randn(NUM_TARGETS, WIDTH, requires_grad=True)
    projection = nn.Linear(WIDTH, NUM_WORDS, bias=bias)
    with torch.autocast("cpu", **autocast) if autocast else contextlib.nullcontext():
        if chunk_size:
            loss, nll = chunked_cross_entropy(states * 1, projection, TARGETS, smoothing, PAD, chunk_size=chunk_size)
        else:
            loss, nll = smoothed_cross_entropy(projection(states * 1), TARGETS, smoothing, PAD)
    gradients = torch.autograd.grad(loss * scale, [states, *projection.parameters()])
    return Found(loss.detach(), nll, list(gradients))


def assert_same(found: Found, expected: Found, **tolerance: float) -> None:
    for name in ("loss", "nll", "gradients"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), **tolerance)


@pytest.mark.parametrize("chunk_size", [1, 7, NUM_TARGETS, 1000])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_the_whole(chunk_size: int, bias: bool, smoothing: float) -> None:
    options: dict[str, Any] = {"bias": bias, "smoothing": smoothing, "scale": 0.25}
    assert_same(run(chunk_size, **options), run(0, **options))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_in_16_bits(dtype: torch.dtype) -> None:
    """Products are rounded to 16 bits, so the comparison is no closer; the sums are in 32 bits."""
    found, expected = run(7, dtype=dtype, scale=128.0), run(0, dtype=dtype, scale=128.0)
    assert found.loss.dtype == found.nll.dtype == torch.float32
    tolerance = 2e-2 if dtype is torch.bfloat16 else 2e-3
    for gradient, whole in zip(found.gradients, expected.gradients, strict=True):
        assert gradient.dtype == whole.dtype
        assert float((gradient - whole).norm() / whole.norm()) < tolerance
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-3, atol=0)


def test_a_loss_scale_saves_small_gradients_in_float16() -> None:
    """Probabilities of about 1e-8 are 0 in float16, unless the loss is scaled before they are rounded."""
    torch.manual_seed(3)
    states, projection = torch.zeros(4, WIDTH, requires_grad=True), nn.Linear(WIDTH, NUM_WORDS)
    nn.init.constant_(projection.bias, -18.0)
    nn.init.zeros_(projection.bias[2:3])
    targets = torch.full((4,), 2)
    with torch.autocast("cpu", dtype=torch.float16):
        loss, _ = chunked_cross_entropy(states, projection, targets, 0.0, PAD, chunk_size=2)
    (gradient,) = torch.autograd.grad(loss * 2.0**14, states)
    expected, _ = smoothed_cross_entropy(projection(states), targets, 0.0, PAD)
    (expected_gradient,) = torch.autograd.grad(expected * 2.0**14, states)
    assert expected_gradient.abs().min() > 0
    torch.testing.assert_close(gradient, expected_gradient, rtol=2e-2, atol=0)


def test_weights_in_bfloat16() -> None:
    torch.manual_seed(3)
    states = torch.randn(NUM_TARGETS, WIDTH, dtype=torch.bfloat16, requires_grad=True)
    projection = nn.Linear(WIDTH, NUM_WORDS, dtype=torch.bfloat16)
    loss, _ = chunked_cross_entropy(states, projection, TARGETS, 0.1, PAD, chunk_size=5)
    loss.backward()
    whole, _ = smoothed_cross_entropy(projection(states), TARGETS, 0.1, PAD)
    expected = torch.autograd.grad(whole, [states, *projection.parameters()])
    found = [states.grad, *(parameter.grad for parameter in projection.parameters())]
    for gradient, other in zip(found, expected, strict=True):
        assert gradient is not None and gradient.dtype == torch.bfloat16
        assert float((gradient - other).norm() / other.norm()) < 2e-2


def test_what_is_frozen_gets_no_gradient() -> None:
    states, projection = torch.randn(NUM_TARGETS, WIDTH), nn.Linear(WIDTH, NUM_WORDS)
    projection.weight.requires_grad_(False)
    loss, _ = chunked_cross_entropy(states, projection, TARGETS, 0.1, PAD, chunk_size=5)
    loss.backward()
    assert projection.weight.grad is None
    assert projection.bias.grad is not None


def test_a_tied_weight() -> None:
    """Its gradient is the sum of that of the embedding and that of the projection."""
    gradients = []
    for chunk_size in (0, 6):
        torch.manual_seed(4)
        embedding, projection = nn.Embedding(NUM_WORDS, WIDTH), nn.Linear(WIDTH, NUM_WORDS, bias=False)
        projection.weight = embedding.weight
        states = embedding(TARGETS.flip(0)).tanh()
        if chunk_size:
            loss, _ = chunked_cross_entropy(states, projection, TARGETS, 0.1, PAD, chunk_size=chunk_size)
        else:
            loss, _ = smoothed_cross_entropy(projection(states), TARGETS, 0.1, PAD)
        gradients += torch.autograd.grad(loss, [embedding.weight])
    torch.testing.assert_close(*gradients)


def test_only_padding() -> None:
    states, projection = torch.randn(3, WIDTH, requires_grad=True), nn.Linear(WIDTH, NUM_WORDS)
    loss, nll = chunked_cross_entropy(states, projection, torch.full((3,), PAD), 0.1, PAD, chunk_size=2)
    loss.backward()
    assert loss.item() == nll.item() == 0
    assert states.grad is not None and not states.grad.any()


def test_the_gradient_is_made_once() -> None:
    states, projection = torch.randn(NUM_TARGETS, WIDTH, requires_grad=True), nn.Linear(WIDTH, NUM_WORDS)
    loss, _ = chunked_cross_entropy(states, projection, TARGETS, 0.1, PAD, chunk_size=5)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_without_gradient() -> None:
    with torch.no_grad():
        states, projection = torch.randn(NUM_TARGETS, WIDTH), nn.Linear(WIDTH, NUM_WORDS)
        loss, nll = chunked_cross_entropy(states, projection, TARGETS, 0.1, PAD, chunk_size=5)
        expected = smoothed_cross_entropy(projection(states), TARGETS, 0.1, PAD)
    torch.testing.assert_close((loss, nll), expected)
    assert not loss.requires_grad


class Unprojected(nn.Module):
    """A "model" that gives these states, [B, T, D], or its scores only."""

    def __init__(self, states: Tensor, projection: nn.Linear, *, scores_only: bool = False) -> None:
        super().__init__()
        self.states, self.projection, self.scores_only = states, projection, scores_only

    def forward(self, batch: Batch) -> ModelOutput:
        if self.scores_only:
            return ModelOutput(self.projection(self.states))
        return ModelOutput(self.states, self.projection)


@pytest.mark.parametrize("chunk_size", [None, 0, 3])
def test_criterions(chunk_size: int | None) -> None:
    batch = batch_of(torch.tensor([[4, 5, 6, 2], [6, 2, PAD, PAD]]))
    model = Unprojected(torch.randn(2, 4, WIDTH), nn.Linear(WIDTH, NUM_WORDS))
    whole = Unprojected(model.states, model.projection, scores_only=True)
    plain = CrossEntropy(CrossEntropyConfig(chunk_size=chunk_size), padding_index=PAD)
    smoothed = LabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyConfig(chunk_size=chunk_size), padding_index=PAD)
    for criterion, reference in (
        (plain, CrossEntropy(CrossEntropyConfig(), padding_index=PAD)),
        (smoothed, LabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyConfig(), padding_index=PAD)),
    ):
        output, expected = criterion(model, batch), reference(whole, batch)
        torch.testing.assert_close((output.sum, output.metrics), (expected.sum, expected.metrics))
        assert output.num_targets == expected.num_targets == 6


def test_a_model_that_gives_scores_only() -> None:
    model = Unprojected(torch.randn(1, 2, WIDTH), nn.Linear(WIDTH, NUM_WORDS), scores_only=True)
    criterion = CrossEntropy(CrossEntropyConfig(chunk_size=3), padding_index=PAD)
    with pytest.raises(OptionError, match="chunk_size=3 is not valid: Unprojected gives its scores only"):
        criterion(model, batch_of(torch.tensor([[4, 2]])))


def test_invalid() -> None:
    with pytest.raises(OptionError, match="chunk_size=-1 is not valid"):
        LabelSmoothedCrossEntropyConfig(chunk_size=-1)
