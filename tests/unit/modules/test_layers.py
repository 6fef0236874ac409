import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqexp.modules.activations import Activation
from seqexp.modules.feed_forward import FeedForward
from seqexp.modules.layers import DecoderLayer, EncoderLayer, LayerOptions, LayerStack


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("normalize_before", [False, True])
def test_encoder_layer(normalize_before: bool) -> None:
    layer = EncoderLayer(LayerOptions(8, 12, 2, normalize_before=normalize_before))
    attention, feed_forward = layer.self_attention, layer.feed_forward
    x = torch.randn(2, 3, 8)
    if normalize_before:
        middle = x + attention(layer.self_attention_norm(x))
        expected = middle + feed_forward(layer.feed_forward_norm(middle))
    else:
        middle = layer.self_attention_norm(x + attention(x))
        expected = layer.feed_forward_norm(middle + feed_forward(middle))
    torch.testing.assert_close(layer(x), expected)


def test_decoder_layer_with_all_scales() -> None:
    options = LayerOptions(8, 12, 2, normalize_before=True, scale_attention=True, scale_ffn=True, scale_residuals=True)
    layer = DecoderLayer(options, source_size=5)
    assert layer.attention_norm is not None
    assert layer.cross_attention is not None
    assert layer.residual_scale is not None
    nn.init.normal_(layer.residual_scale)
    x, source = torch.randn(2, 3, 8), layer.source_keys_values(torch.randn(2, 4, 5))
    assert source is not None
    first = x + layer.attention_norm(layer.self_attention(layer.self_attention_norm(x), causal=True))
    second = first + layer.cross_attention(layer.cross_attention_norm(first), source)
    expected = second * layer.residual_scale + layer.feed_forward(layer.feed_forward_norm(second))
    torch.testing.assert_close(layer(x, source, mask=None, causal=True), expected)


def test_feed_forward() -> None:
    network = FeedForward(8, 12, activation=Activation.tanh, normalize_inner=True)
    x = torch.randn(3, 8)
    expected = network.outer(F.layer_norm(torch.tanh(network.inner(x)), (12,)))
    torch.testing.assert_close(network(x), expected)


def test_feed_forward_keeps_its_input() -> None:
    network = FeedForward(8, 12, activation=Activation.relu)
    x = torch.randn(3, 8)
    before = x.clone()
    network(x)
    assert torch.equal(x, before)


def test_dropout_is_applied_in_training_only() -> None:
    layer = EncoderLayer(LayerOptions(8, 12, 2, dropout=0.5, activation_dropout=0.5))
    x = torch.randn(2, 3, 8)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_layerdrop() -> None:
    stack = LayerStack((nn.Identity() for _ in range(10)), layerdrop=0.3)
    num_kept = sum(len(stack.kept()) for _ in range(500))
    assert 0.66 < num_kept / 5000 < 0.74
    stack.eval()
    assert stack.kept() == list(range(10))
