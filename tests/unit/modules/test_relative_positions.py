import math

import pytest
import torch

from seqexp.modules.attention import SelfAttention
from seqexp.modules.relative_positions import Relative, distance_bias, rotate


def test_a_turn_keeps_lengths_and_sees_distances_only() -> None:
    queries, keys = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64).unbind(0)
    for x in (queries, keys):
        torch.testing.assert_close(rotate(x, 7).norm(), x.norm())
    near = (rotate(queries, 5) * rotate(keys, 3)).sum()
    torch.testing.assert_close((rotate(queries, 105) * rotate(keys, 103)).sum(), near)
    assert not torch.allclose((rotate(queries, 5) * rotate(keys, 4)).sum(), near)


def test_the_angles() -> None:
    """Of a head of width 4, the pairs (0, 2) and (1, 3) turn by p and by p / 100."""
    x = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(1, 1, 1, 4)
    expected = [math.cos(3), -math.sin(0.03), math.sin(3), math.cos(0.03)]
    assert rotate(x, 3).flatten().tolist() == pytest.approx(expected)


def test_scores_fall_with_the_distance() -> None:
    bias = distance_bias(2, 2, 3, torch.empty(0))
    assert bias.shape == (1, 2, 2, 3)
    assert bias[0, 0].tolist() == [[-1 / 16, 0, -1 / 16], [-2 / 16, -1 / 16, 0]]
    assert bias[0, 1, 1].tolist() == [-2 / 256, -1 / 256, 0]


@pytest.mark.parametrize("relative", [Relative.rotary, Relative.alibi])
def test_attention_does_not_see_where_a_text_begins(relative: Relative) -> None:
    """A token before the others that nobody may look at changes nothing."""
    torch.manual_seed(1)
    attention = SelfAttention(8, 2, relative=relative).double()
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    mask[1:, 0] = False
    without = attention(x[:, 1:], causal=True)
    torch.testing.assert_close(attention(x, mask=mask)[:, 1:], without)


def test_keys_for_several_queries_are_those_of_full_heads_repeated() -> None:
    torch.manual_seed(1)
    shared, full = SelfAttention(8, 4, num_key_value_heads=2), SelfAttention(8, 4)
    queries, keys, values = shared.projection.weight.split((8, 4, 4))
    with torch.no_grad():
        repeated = [x.view(2, 2, 8).repeat_interleave(2, dim=0).flatten(0, 1) for x in (keys, values)]
        full.projection.weight.copy_(torch.cat([queries, *repeated]))
        shared.projection.bias.zero_()
        full.projection.bias.zero_()
        full.output.load_state_dict(shared.output.state_dict())
        x = torch.randn(2, 3, 8)
        torch.testing.assert_close(shared(x), full(x))
