import pytest
import torch
from torch import nn

from seqexp.generators.words import WordLogProbs
from seqexp.models.base import ModelOutput


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_blocks_change_nothing(bias: bool, temperature: float) -> None:
    """Whatever the number of rows, also after more or fewer."""
    torch.manual_seed(0)
    projection = nn.Linear(8, 1000, bias=bias)
    log_probs = WordLogProbs()
    with torch.no_grad():
        for num_rows in (60, 300, 260, 1, 512, 20, 257):
            states = torch.randn(num_rows, 2, 8)
            expected = (projection(states[:, -1]) / temperature).log_softmax(dim=1)
            found = log_probs(ModelOutput(states, projection), temperature)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_scores_without_projection() -> None:
    scores = torch.randn(3, 2, 7)
    torch.testing.assert_close(WordLogProbs()(ModelOutput(scores)), scores[:, -1].log_softmax(dim=1))


def test_sixteen_bits_become_thirty_two() -> None:
    projection = nn.Linear(8, 20).bfloat16()
    found = WordLogProbs()(ModelOutput(torch.randn(3, 1, 8).bfloat16(), projection))
    assert found.dtype == torch.float32
