import math

import pytest
import torch

from seqexp.modules.positions import LearnedPositions, PositionEmbedding, SinusoidalPositions, sinusoids


@pytest.fixture(params=[LearnedPositions, SinusoidalPositions])
def positions(request: pytest.FixtureRequest) -> PositionEmbedding:
    embedding: PositionEmbedding = request.param(8, 6, "max_source_positions")
    return embedding


def test_sinusoids() -> None:
    """Sines, then cosines, of the position (2 for the first token) times 10000^(-i / (half - 1))."""
    table = sinusoids(3, 6)
    for row, position in enumerate([2, 3, 4]):
        frequencies = [1.0, 10000**-0.5, 10000**-1.0]
        expected = [math.sin(position * f) for f in frequencies] + [math.cos(position * f) for f in frequencies]
        assert table[row].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_sinusoids_of_any_width(size: int) -> None:
    table = sinusoids(4, size)
    assert table.shape == (4, size)
    assert table.isfinite().all()
    assert size % 2 == 0 or not table[:, -1].any()


def test_without_padding(positions: PositionEmbedding) -> None:
    assert torch.equal(positions(5), positions.table[None, :5])
    assert torch.equal(positions(2, start=3), positions.table[None, 3:5])


def test_padding_on_either_side(positions: PositionEmbedding) -> None:
    mask = torch.tensor([[True, True, False, False, False], [False, False, False, True, True]])
    left, right = positions(5, mask)
    assert torch.equal(left[2:], positions.table[:3])
    assert torch.equal(right[:3], positions.table[:3])


def test_too_long(positions: PositionEmbedding) -> None:
    assert positions(8).shape == (1, 8, 6)
    with pytest.raises(ValueError, match="max_source_positions=8 is too small for a sequence of 9 tokens"):
        positions(9)
    with pytest.raises(ValueError, match="of 9 tokens"):
        positions(1, start=8)


def test_only_learned_positions_are_saved() -> None:
    assert list(LearnedPositions(8, 6, "option").state_dict()) == ["weight"]
    assert list(SinusoidalPositions(8, 6, "option").state_dict()) == []


def test_learned_positions_at_first() -> None:
    torch.manual_seed(0)
    weight = LearnedPositions(500, 64, "option").weight
    assert float(weight.detach().std()) == pytest.approx(64**-0.5, rel=0.05)
