import math
from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from seqexp.tokenizers import sampling
from seqexp.tokenizers.sampling import LatticeSampler, MergeSampler, SamplingConfig, Symbols, draw

RANKS = {pair: rank for rank, pair in enumerate([("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc"), ("abc", "abc")])}
SCORES = {"a": -2.0, "b": -2.5, "c": -3.0, "ab": -2.2, "bc": -4.0, "abc": -3.1}
NUM_DRAWS = 20_000


def probabilities(symbols: Symbols, dropout: float) -> Counter[Symbols]:
    """What BPE-dropout as it is published makes of a word, all outcomes of every step counted."""
    found: Counter[Symbols] = Counter()
    merges = sorted((RANKS[pair], i) for i, pair in enumerate(pairwise(symbols)) if pair in RANKS)
    if not merges:
        return Counter({symbols: 1.0})  # type: ignore[dict-item]
    for dropped in range(1 << len(merges)):
        kept = [place for bit, (_, place) in enumerate(merges) if not dropped >> bit & 1]
        chance = dropout ** (len(merges) - len(kept)) * (1 - dropout) ** len(kept)
        if not kept:
            found[symbols] += chance  # type: ignore[assignment]
            continue
        i = kept[0]
        for outcome, share in probabilities(
            (*symbols[:i], symbols[i] + symbols[i + 1], *symbols[i + 2 :]), dropout
        ).items():
            found[outcome] += chance * share  # type: ignore[assignment]
    return found


def assert_frequencies(found: Counter[Symbols], expected: dict[Symbols, float]) -> None:
    assert set(found) <= set(expected)
    for outcome, chance in expected.items():
        deviation = 5 * math.sqrt(chance * (1 - chance) / NUM_DRAWS) + 1e-9
        assert found[outcome] / NUM_DRAWS == pytest.approx(chance, abs=deviation), outcome


@pytest.mark.parametrize("dropout", [0.1, 0.5])
def test_merges_are_dropped_with_the_probability_of_the_paper(dropout: float) -> None:
    sampler, random = MergeSampler(RANKS, dropout), Random(1)
    found = Counter(sampler(tuple("abcabc"), random) for _ in range(NUM_DRAWS))
    assert_frequencies(found, dict(probabilities(tuple("abcabc"), dropout)))


def test_without_dropout_merges_are_as_usual_and_with_all_of_it_there_are_none() -> None:
    random = Random(1)
    assert MergeSampler(RANKS, 0.0)(tuple("abcabc"), random) == ("abcabc",)
    assert MergeSampler(RANKS, 1.0)(tuple("abcabc"), random) == tuple("abcabc")
    assert MergeSampler(RANKS, 0.5)((), random) == ()


def test_a_very_long_word_is_cut() -> None:
    merged = MergeSampler(RANKS, 0.0)(tuple("ab" * 100_000), Random(1))
    assert merged == ("ab",) * 100_000


def test_words_with_symbols_that_are_not_known_are_drawn_again() -> None:
    known = {"a", "b", "c", "abc", "abcabc"}
    sampler, random = MergeSampler(RANKS, 0.5, known.issuperset), Random(1)
    expected = probabilities(tuple("abcabc"), 0.5)
    allowed = {outcome: chance for outcome, chance in expected.items() if known.issuperset(outcome)}
    total = sum(allowed.values())
    found = Counter(sampler(tuple("abcabc"), random) for _ in range(NUM_DRAWS))
    assert_frequencies(found, {outcome: chance / total for outcome, chance in allowed.items()})
    hopeless = MergeSampler(RANKS, 0.5, lambda symbols: False)
    assert hopeless(tuple("abcabc"), random) == ("abcabc",)


def test_what_is_remembered_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [tuple("abcabc" * (1 + n % 6)) for n in range(200)]
    monkeypatch.setattr(sampling, "MAX_STATES", 5)
    forgetful = MergeSampler(RANKS, 0.3)
    expected = [forgetful(word, Random(n)) for n, word in enumerate(words)]
    monkeypatch.setattr(sampling, "MAX_STATES", 10_000)
    sampler = MergeSampler(RANKS, 0.3)
    backwards = [sampler(word, Random(n)) for n, word in reversed([*enumerate(words)])]
    assert backwards[::-1] == expected


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_pieces_are_drawn_with_the_probability_of_the_model(alpha: float) -> None:
    sampler, random = LatticeSampler(SCORES, -9.0, alpha), Random(1)
    found = Counter(tuple(sampler("abxc", random)) for _ in range(NUM_DRAWS))
    ways = {("a", "b", "x", "c"): -2.0 - 2.5 - 9.0 - 3.0, ("ab", "x", "c"): -2.2 - 9.0 - 3.0}
    assert_frequencies(found, normalized(ways, alpha))
    found = Counter(tuple(sampler("abc", random)) for _ in range(NUM_DRAWS))
    ways = {("a", "b", "c"): -7.5, ("ab", "c"): -5.2, ("a", "bc"): -6.0, ("abc",): -3.1}
    assert_frequencies(found, normalized(ways, alpha))


def normalized(ways: dict[Symbols, float], alpha: float) -> dict[Symbols, float]:
    total = sum(math.exp(alpha * score) for score in ways.values())
    return {way: math.exp(alpha * score) / total for way, score in ways.items()}


def test_long_words_do_not_overflow() -> None:
    pieces = LatticeSampler(SCORES, -9.0, 1.0)("abc" * 2000, Random(1))
    assert "".join(pieces) == "abc" * 2000


def test_draws_by_weight() -> None:
    random = Random(1)
    found = Counter((draw([-1000.0, -1000.0 + math.log(3)], random),) for _ in range(NUM_DRAWS))
    assert_frequencies(found, {(0,): 0.25, (1,): 0.75})  # type: ignore[arg-type, dict-item]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 1.5}, "dropout=1.5"),
        ({"dropout": -0.1}, "dropout=-0.1"),
        ({"alpha": -1.0}, "alpha=-1.0"),
        ({"dropout": 0.1, "alpha": 0.1}, "either dropout"),
        ({"nbest_size": 10}, "nbest_size=10 is not valid: it goes together with alpha"),
        ({"nbest_size": 1, "alpha": 0.1}, "nbest_size=1"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplingConfig(**options)  # type: ignore[arg-type]


def test_when_it_is_on() -> None:
    assert not SamplingConfig().is_on
    assert SamplingConfig(dropout=0.1).is_on
    assert SamplingConfig(alpha=0.0).is_on
