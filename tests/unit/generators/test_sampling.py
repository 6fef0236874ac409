import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.generators.sampling import Sampling, SamplingConfig, inverse_cumulative
from tests.unit.generators.stub import EOS, PAD, UNK, StubModel, sources
from tests.unit.generators.toy import assert_same, random_sources, select, toy_transformer

WORDS = {"eos": EOS, "pad": PAD, "unk": UNK}
W1, W2 = 4, 5
FIRST = {EOS: 0.25, W1: 0.4, W2: 0.35}
"""Probabilities of the first word; then a sentence ends."""


def one_word(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
    probabilities = torch.zeros(6)
    for word, probability in FIRST.items() if not prefix else [(EOS, 1.0)]:
        probabilities[word] = probability
    return probabilities.log()


def sample(model: Any, batch: PairBatch, **options: Any) -> list[list[Hypothesis]]:
    config = SamplingConfig(**{"min_length": 0, **options})
    return Sampling(config, **WORDS).generate([model], batch)


def first_words(**options: Any) -> Counter[int]:
    """Of 2,000 samples: more than there are words in the vocabulary."""
    (found,) = sample(StubModel(one_word), sources(0), num_samples=2000, **options)
    for hypothesis in found:
        assert hypothesis.positional_scores[0].exp() == pytest.approx(FIRST[int(hypothesis.tokens[0])], rel=1e-5)
    return Counter(int(hypothesis.tokens[0]) for hypothesis in found)


def expected(weights: dict[int, float]) -> dict[int, Any]:
    """Counts, give or take four standard deviations."""
    total = sum(weights.values())
    shares = {word: weight / total for word, weight in weights.items()}
    return {word: pytest.approx(2000 * q, abs=4 * math.sqrt(2000 * q * (1 - q)) + 1e-9) for word, q in shares.items()}


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, FIRST),
        ({"seed": 2}, FIRST),
        ({"top_k": 2}, {W1: 0.4, W2: 0.35}),
        ({"top_p": 0.2}, {W1: 0.4}),
        ({"top_p": 0.575}, {W1: 0.4, W2: 0.35}),
        ({"min_p": 0.8}, {W1: 0.4, W2: 0.35}),
        ({"typical_p": 0.5}, {W2: 0.35, W1: 0.4}),
        ({"top_k": 2, "top_p": 0.5}, {W1: 0.4}),
    ],
)
def test_frequencies(options: dict[str, Any], weights: dict[int, float]) -> None:
    """Scores are not renormalised."""
    assert first_words(**options) == expected(weights)


def test_temperature() -> None:
    (found,) = sample(StubModel(one_word), sources(0), num_samples=2000, temperature=0.5)
    weights = {word: probability**2 for word, probability in FIRST.items()}
    assert Counter(int(hypothesis.tokens[0]) for hypothesis in found) == expected(weights)


def test_draws() -> None:
    weights = torch.tensor([[0.0, 2.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    uniforms = torch.tensor([[0.0, 0.66, 0.67, 1 - 1e-16]], dtype=torch.float64)
    assert inverse_cumulative(weights, uniforms).tolist() == [[1, 1, 3, 3]]


def test_seeds_differ() -> None:
    model = toy_transformer()
    first, same, other = (sample(model, random_sources(), seed=seed) for seed in (1, 1, 2))
    assert_same(first, same)
    assert [nbest[0].tokens.tolist() for nbest in first] != [nbest[0].tokens.tolist() for nbest in other]


def test_batches_change_nothing() -> None:
    model, batch = toy_transformer(), random_sources()
    options = {"num_samples": 3, "temperature": 0.8, "top_p": 0.9}
    found = sample(model, batch, **options)
    assert_same(sample(model, random_sources(left=True), **options), found)
    for numbers in ([7, 6, 5, 4, 3, 2, 1, 0], [2, 5], [1]):
        assert_same(sample(model, select(batch, numbers), **options), [found[number] for number in numbers])


def test_a_sample_is_the_same_among_more() -> None:
    model, batch = toy_transformer(), random_sources()
    few, many = (sample(model, batch, num_samples=n, max_length_b=3) for n in (2, 5))
    for some, more in zip(few, many, strict=True):
        words = [tuple(hypothesis.tokens.tolist()) for hypothesis in more]
        assert all(tuple(hypothesis.tokens.tolist()) in words for hypothesis in some)
        assert [hypothesis.score for hypothesis in more] == sorted((h.score for h in more), reverse=True)


def test_the_likeliest_word_alone_is_greedy() -> None:
    model, batch = toy_transformer(), random_sources()
    greedy = Greedy(GreedyConfig(min_length=3), **WORDS).generate([model], batch)
    assert_same(sample(model, batch, top_k=1, min_length=3), greedy)


def test_long_samples() -> None:
    """Longer than random numbers are drawn at once."""
    never = torch.tensor([0, 0, 0, 0, 0.5, 0.5]).log()
    always_ends = torch.tensor([0, 0, 1.0, 0, 0, 0]).log()
    model = StubModel(lambda sentence, beam, prefix: never if len(prefix) < 150 else always_ends)
    (found,) = sample(model, sources(0), max_length_b=200)
    words = found[0].tokens.tolist()[:-1]
    assert len(words) == 150
    assert words[:64] != words[64:128]


def test_what_is_not_a_number_gives_nothing() -> None:
    model = StubModel(lambda *_: torch.full((6,), float("nan")))
    assert sample(model, sources(0), num_samples=2, max_length_b=2) == [[]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "num_samples=0 is not valid: it must be positive"),
        ({"top_p": 0.0}, "top_p=0.0 is not valid: it must be above 0 and at most 1"),
        ({"min_p": 1.5}, "min_p=1.5 is not valid: it must be between 0 and 1"),
        ({"top_k": -1}, "top_k=-1 is not valid: it must not be negative"),
    ],
)
def test_invalid_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**options)
