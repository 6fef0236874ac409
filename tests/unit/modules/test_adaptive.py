import pytest
import torch
from torch import Tensor, nn

from seqexp.modules.adaptive import AdaptiveInput, AdaptiveSoftmax

PAD, NUM_WORDS, WIDTH = 1, 30, 16


def softmax(tie_projections: bool | None = None, dropout: float = 0.0) -> AdaptiveSoftmax:
    """Bands of 10, 10 and 10 words; None for no ties."""
    torch.manual_seed(1)
    words = AdaptiveInput(NUM_WORDS, WIDTH, WIDTH, cutoffs=[10, 20], factor=2, padding_index=PAD)
    made = AdaptiveSoftmax(
        WIDTH,
        NUM_WORDS,
        cutoffs=[10, 20],
        factor=2,
        dropout=dropout,
        tied=None if tie_projections is None else words,
        tie_projections=bool(tie_projections),
    )
    return made.double().eval()


@pytest.fixture(params=[None, False, True], ids=["untied", "tied", "projections_too"])
def adaptive(request: pytest.FixtureRequest) -> AdaptiveSoftmax:
    return softmax(request.param)


@pytest.fixture
def states() -> Tensor:
    return torch.randn(12, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_probabilities_sum_to_one(adaptive: AdaptiveSoftmax, states: Tensor) -> None:
    log_probs = adaptive(states.view(3, 4, WIDTH))
    assert log_probs.shape == (3, 4, NUM_WORDS)
    torch.testing.assert_close(log_probs.exp().sum(dim=-1), torch.ones(3, 4, dtype=torch.float64))


@pytest.mark.parametrize("targets", [range(5, 29, 2), [3] * 12, [29] * 12, [0, 9, 10, 11, 19, 20, 21, 29, 1, 2, 3, 4]])
def test_the_loss_is_that_of_all_scores(adaptive: AdaptiveSoftmax, states: Tensor, targets: list[int]) -> None:
    wanted = torch.tensor(list(targets))
    expected = adaptive(states).gather(1, wanted[:, None]).squeeze(1).neg()
    torch.testing.assert_close(adaptive.nll(states, wanted), expected)


def test_gradients(adaptive: AdaptiveSoftmax, states: Tensor) -> None:
    """Of both ways alike; a band without a target has gradients too, all 0."""
    targets = torch.tensor([2, 25, 2, 29, 7, 5, 21, 22, 0, 3, 4, 28])
    parameters = list(adaptive.parameters())
    one = torch.autograd.grad(adaptive.nll(states, targets).sum(), parameters)
    other = torch.autograd.grad(adaptive(states).gather(1, targets[:, None]).sum().neg(), parameters)
    for found, expected in zip(one, other, strict=True):
        torch.testing.assert_close(found, expected)


def test_dropout_is_in_training_only(states: Tensor) -> None:
    dropped = softmax(dropout=0.5)
    assert torch.equal(dropped(states), softmax()(states))
    assert not torch.equal(dropped.train()(states), softmax()(states))


def test_no_targets(adaptive: AdaptiveSoftmax, states: Tensor) -> None:
    assert adaptive.nll(states[:0], torch.empty(0, dtype=torch.int64)).sum() == 0


def test_embeddings_are_those_of_their_band() -> None:
    words = AdaptiveInput(NUM_WORDS, WIDTH, 6, cutoffs=[10, 20], factor=2, padding_index=PAD)
    assert [words.band(band)[0].weight.shape for band in range(3)] == [(10, 16), (10, 8), (10, 4)]
    tokens = torch.tensor([[0, 9, 10, 19], [20, 29, PAD, 5]])
    found = words(tokens)
    assert found.shape == (2, 4, 6)
    for place, token in (((0, 1), 9), ((0, 2), 10), ((1, 1), 29)):
        embedding, projection = words.band(token // 10)
        torch.testing.assert_close(found[place], projection(embedding.weight[token % 10]))
    assert not found[1, 2].any()


def test_a_last_cutoff_at_the_end() -> None:
    assert AdaptiveSoftmax(WIDTH, 30, cutoffs=[10, 30], factor=2).edges == [0, 10, 30]


def test_no_width_is_left() -> None:
    with pytest.raises(ValueError, match=r"adaptive_softmax.factor=32 .* band 1 no width of 16"):
        AdaptiveSoftmax(WIDTH, 30, cutoffs=[10], factor=32)
    with pytest.raises(ValueError, match=r"adaptive_input.factor=32"):
        AdaptiveInput(30, 16, 8, cutoffs=[10], factor=32, padding_index=PAD)


def test_no_module_is_without_a_gradient() -> None:
    """Where processes train together, each expects a gradient of every parameter."""
    adaptive = softmax()
    targets = torch.tensor([1, 2])
    adaptive.nll(torch.ones(2, WIDTH, dtype=torch.float64), targets).sum().backward()
    assert all(isinstance(p, nn.Parameter) and p.grad is not None for p in adaptive.parameters())
