import pytest
import torch

from seqexp.modules.embeddings import token_embedding


def test_initial_values() -> None:
    torch.manual_seed(0)
    embedding = token_embedding(1000, 64, padding_index=1)
    assert not embedding.weight[1].any()
    assert float(embedding.weight.detach().std()) == pytest.approx(64**-0.5, rel=0.05)


def test_padding_gets_no_gradient() -> None:
    embedding = token_embedding(10, 4, padding_index=1)
    embedding(torch.tensor([1, 2])).sum().backward()
    assert embedding.weight.grad is not None
    assert embedding.weight.grad.sum(dim=1).tolist() == [0, 0, 4, 0, 0, 0, 0, 0, 0, 0]
