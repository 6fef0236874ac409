import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.generators.truncation import min_p, top_k, top_p, typical

Cut = Callable[[Tensor], Tensor]
EXAMPLE = torch.tensor([[0.25, 0.4, 0.0, 0.35]]).log()


def kept(log_probs: Tensor, cut: Cut) -> list[set[int]]:
    found = cut(log_probs)
    stays = found.isfinite()
    assert torch.equal(found[stays], log_probs[stays])
    return [set(row.nonzero().flatten().tolist()) for row in stays]


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (partial(top_k, k=1), {1}),
        (partial(top_k, k=2), {1, 3}),
        (partial(top_k, k=100), {0, 1, 3}),
        (partial(top_p, p=0.2), {1}),
        (partial(top_p, p=0.575), {1, 3}),
        (partial(top_p, p=0.8), {0, 1, 3}),
        (partial(min_p, p=0.9), {1}),
        (partial(min_p, p=0.7), {1, 3}),
        (partial(min_p, p=0.0), {0, 1, 3}),
    ],
)
def test_examples(cut: Cut, expected: set[int]) -> None:
    assert kept(EXAMPLE, cut) == [expected]


def test_typical_leaves_out_what_says_too_little() -> None:
    """Entropy of (0.5, 0.25, 0.25) is 1.04 nats; a word of 0.25 says 1.39, one of 0.5 says 0.69: about as far off."""
    log_probs = torch.tensor([[0.9, 0.05, 0.05], [0.45, 0.35, 0.2]]).log()
    # The first has entropy 0.39: nearest is 0.9 (0.11 nats). The second has 1.05: 0.35 (1.05 nats) says just that.
    assert kept(log_probs, partial(typical, p=0.2)) == [{0}, {1}]
    assert kept(log_probs, partial(typical, p=0.5)) == [{0}, {0, 1}]


def plain_loop(log_probs: list[float], order: Callable[[float, float], float], p: float) -> set[int]:
    total = sum(map(math.exp, log_probs))
    probabilities = [math.exp(x) / total for x in log_probs]
    entropy = -sum(q * math.log(q) for q in probabilities if q > 0)
    numbers = sorted(
        range(len(log_probs)), key=lambda n: order(probabilities[n], entropy) if probabilities[n] else math.inf
    )
    found: set[int] = set()
    while sum(probabilities[n] for n in found) < p and len(found) < len(numbers):
        found.add(numbers[len(found)])
    return found


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("cut", "order"), [(top_p, lambda q, _: -q), (typical, lambda q, entropy: abs(-math.log(q) - entropy))]
)
def test_against_a_plain_loop(cut: Any, order: Callable[[float, float], float], p: float) -> None:
    """On distributions that were cut before, so they do not sum to 1."""
    log_probs = torch.randn(30, 12, generator=torch.Generator().manual_seed(1)).mul(2).log_softmax(dim=1)
    log_probs = top_k(log_probs, 7)
    assert kept(log_probs, partial(cut, p=p)) == [plain_loop(row, order, p) for row in log_probs.tolist()]
