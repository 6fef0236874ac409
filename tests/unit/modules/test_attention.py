import math

import pytest
import torch
from torch import Tensor, nn

from seqexp.modules.attention import CrossAttention, SelfAttention
from seqexp.modules.state import GrowingCache

SIZE, HEADS = 12, 3


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def reference(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    """Attention as the paper writes it, head by head, query by query; [T, D], [S, D], [S, D], bool [T, S]."""
    width = query.shape[1] // HEADS
    output = torch.zeros_like(query)
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        for number in range(len(query)):
            scores = key[:, part] @ query[number, part] / math.sqrt(width)
            weights = torch.where(allowed[number], scores.exp(), 0.0)
            output[number, part] = (weights / weights.sum()) @ value[:, part]
    return output


def projected(linear: nn.Linear, x: Tensor, number: int) -> Tensor:
    """The part of a fused projection that makes queries (0), keys or values."""
    part = slice(number * SIZE, (number + 1) * SIZE)
    return x @ linear.weight[part].T + linear.bias[part]


def random_biases(module: nn.Module) -> None:
    """Biases that are 0 at first would hide mistakes."""
    for linear in module.modules():
        if isinstance(linear, nn.Linear):
            nn.init.normal_(linear.bias)


def self_reference(attention: SelfAttention, x: Tensor, allowed: Tensor, memory: Tensor | None = None) -> Tensor:
    keys = x if memory is None else torch.cat([memory, x])
    queries = projected(attention.projection, x, 0)
    mixed = reference(
        queries, projected(attention.projection, keys, 1), projected(attention.projection, keys, 2), allowed
    )
    return mixed @ attention.output.weight.T + attention.output.bias


def test_self_attention() -> None:
    attention = SelfAttention(SIZE, HEADS).double()
    random_biases(attention)
    x = torch.randn(2, 5, SIZE, dtype=torch.float64)
    mask = torch.tensor([[True] * 5, [False, False, True, True, True]])
    for number, output in enumerate(attention(x, mask=mask[:, None, None, :])):
        torch.testing.assert_close(output, self_reference(attention, x[number], mask[number].expand(5, 5)))
    for number, output in enumerate(attention(x, causal=True)):
        allowed = torch.ones(5, 5, dtype=torch.bool).tril()
        torch.testing.assert_close(output, self_reference(attention, x[number], allowed))


def test_self_attention_to_a_memory() -> None:
    attention = SelfAttention(SIZE, HEADS).double()
    random_biases(attention)
    x, memory = torch.randn(1, 4, SIZE, dtype=torch.float64), torch.randn(1, 3, SIZE, dtype=torch.float64)
    allowed = torch.cat([torch.ones(4, 3, dtype=torch.bool), torch.ones(4, 4, dtype=torch.bool).tril()], dim=1)
    output = attention(x, mask=allowed[None, None], memory=memory)
    torch.testing.assert_close(output[0], self_reference(attention, x[0], allowed, memory[0]))


@torch.no_grad()
def test_self_attention_with_a_cache() -> None:
    attention = SelfAttention(SIZE, HEADS).double()
    x = torch.randn(3, 6, SIZE, dtype=torch.float64)
    cache = GrowingCache()
    steps = [attention(x[:, step : step + 1], cache=cache) for step in range(6)]
    torch.testing.assert_close(torch.cat(steps, dim=1), attention(x, causal=True))


def test_head_scale() -> None:
    plain = SelfAttention(SIZE, HEADS)
    scaled = SelfAttention(SIZE, HEADS, scale_heads=True)
    scaled.load_state_dict({**plain.state_dict(), "head_scale": torch.tensor([1.0, 2.0, 0.0])})
    x = torch.randn(2, 4, SIZE)
    expected = plain(x) * torch.tensor([1.0, 2.0, 0.0]).repeat_interleave(SIZE // HEADS)
    torch.testing.assert_close(scaled(x), expected)


def test_cross_attention_shares_the_source_between_beams() -> None:
    attention = CrossAttention(SIZE, HEADS, key_size=7).double()
    random_biases(attention)
    states = torch.randn(2, 6, 7, dtype=torch.float64)
    mask = torch.tensor([[True] * 6, [True, True, True, False, False, False]])
    x = torch.randn(2 * 3, 4, SIZE, dtype=torch.float64)
    source = attention.keys_values(states)
    output = attention(x, source, mask[:, None, None, :])
    for row in range(6):
        sentence = row // 3
        mixed = reference(
            attention.query(x[row]),
            projected(attention.key_value, states[sentence], 0),
            projected(attention.key_value, states[sentence], 1),
            mask[sentence].expand(4, 6),
        )
        torch.testing.assert_close(output[row], attention.output(mixed))


def test_weights_are_those_of_the_output() -> None:
    attention = CrossAttention(SIZE, HEADS).double()
    states, x = torch.randn(2, 6, SIZE, dtype=torch.float64), torch.randn(4, 3, SIZE, dtype=torch.float64)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])[:, None, None, :]
    source = attention.keys_values(states)
    weights = attention.weights(x, source, mask)
    assert weights.shape == (4, HEADS, 3, 6)
    assert not weights[2:, :, :, 4:].any()
    mixed = weights @ source.values.repeat_interleave(2, dim=0)
    torch.testing.assert_close(attention.output(mixed.transpose(1, 2).flatten(2)), attention(x, source, mask))


def test_dropout_of_weights() -> None:
    attention = SelfAttention(SIZE, HEADS, dropout=0.5)
    x = torch.randn(2, 5, SIZE)
    assert not torch.equal(attention(x), attention(x))
    attention.eval()
    assert torch.equal(attention(x), attention(x))


def test_initial_weights() -> None:
    """Xavier's bound for each of query, key and value on its own, with gain 1/sqrt(2); 1 where the sizes differ."""
    size = 64
    bound = math.sqrt(6 / (2 * size))
    for block in SelfAttention(size, 4).projection.weight.chunk(3):
        assert bound / math.sqrt(2) * 0.98 < block.abs().max() <= bound / math.sqrt(2)
    same = CrossAttention(size, 4)
    assert same.query.weight.abs().max() <= bound / math.sqrt(2)
    assert bound * 0.98 < same.output.weight.abs().max() <= bound
    assert not same.output.bias.any()
    differ = CrossAttention(size, 4, key_size=32)
    assert bound * 0.98 < differ.query.weight.abs().max() <= bound
    assert math.sqrt(6 / 96) * 0.98 < differ.key_value.weight.abs().max() <= math.sqrt(6 / 96)


@pytest.mark.parametrize("kind", [SelfAttention, CrossAttention])
def test_heads_must_divide(kind: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="num_heads=5 is not valid: it must divide hidden_size=12"):
        kind(12, 5)
