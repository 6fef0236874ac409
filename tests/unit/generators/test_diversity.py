"""Diverse beams and diverse siblings."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.generators.base import Hypothesis
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.diverse_beam import DiverseBeam, DiverseBeamConfig, Overlaps
from seqexp.generators.diverse_siblings import DiverseSiblings, DiverseSiblingsConfig
from tests.unit.generators.stub import EOS, PAD, UNK, StubModel, sources
from tests.unit.generators.toy import assert_same, random_sources, select, toy_transformer

WORDS = {"eos": EOS, "pad": PAD, "unk": UNK}
W1, W2 = 4, 5
SEARCHES: dict[str, tuple[type, type]] = {
    "beam": (BeamSearch, BeamSearchConfig),
    "groups": (DiverseBeam, DiverseBeamConfig),
    "siblings": (DiverseSiblings, DiverseSiblingsConfig),
}


def search(name: str, model: Any, batch: Any, **options: Any) -> list[list[Hypothesis]]:
    cls, config = SEARCHES[name]
    options = {"nbest": options["beam_size"], **options}
    found: list[list[Hypothesis]] = cls(config(**options), **WORDS).generate([model], batch)
    return found


# Rows: sentence 1 with beams 1 and 2, sentence 2 the same; columns: </s>, w1, w2.
STEPS = [
    [[0, 0.9, 0.1], [0, 0.9, 0.1], [0, 0.7, 0.3], [0, 0.7, 0.3]],
    [[0, 0.6, 0.4], [0, 0.6, 0.4], [0.25, 0.35, 0.4], [0.25, 0.35, 0.4]],
    [[1, 0, 0], [1, 0, 0], [0.9, 0.1, 0], [0.9, 0.1, 0]],
]


def by_step_and_beam(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
    end, first, second = STEPS[len(prefix)][2 * sentence + beam] if len(prefix) < len(STEPS) else (1, 0, 0)
    return torch.tensor([0, 0, end, 0, first, second]).log()


def found_here(name: str, **options: Any) -> list[list[tuple[list[int], list[float]]]]:
    options = {"max_length_a": 0, "max_length_b": 2, "normalize_scores": False, "beam_size": 2, **options}
    nbests = search(name, StubModel(by_step_and_beam), sources(0, 1), **options)
    return [[(h.tokens.tolist(), h.positional_scores.tolist()) for h in nbest] for nbest in nbests]


def logs(probabilities: list[float], penalties: list[float]) -> Any:
    return pytest.approx(
        [float(torch.tensor(p).log()) - x for p, x in zip(probabilities, penalties, strict=True)], abs=1e-5
    )


def test_groups_that_do_not_mind_each_other() -> None:
    first, second = found_here("groups", num_groups=2, diversity_strength=0.0)
    assert first == [([W1, W1, EOS], logs([0.9, 0.6, 1], [0, 0, 0]))] * 2
    assert second == [([W1, W2, EOS], logs([0.7, 0.4, 0.9], [0, 0, 0]))] * 2


def test_groups_that_do() -> None:
    """The second pays 0.3 for a word that the first has just chosen, and 0.3 more for each such word before."""
    first, _ = found_here("groups", num_groups=2, diversity_strength=0.3)
    assert first[0] == ([W1, W1, EOS], logs([0.9, 0.6, 1], [0, 0, 0]))
    # w2 would cost ln 0.6 - ln 0.4 = 0.41, less than the 0.6 that w1 costs when w1 was chosen by both before.
    assert first[1][0] == [W1, W2, EOS]
    assert first[1][1][:2] == logs([0.9, 0.4], [0.3, 0])
    first, _ = found_here("groups", num_groups=2, diversity_strength=0.3, diversity_discount=0.0)
    assert first[1] == ([W1, W1, EOS], logs([0.9, 0.6, 1], [0.3, 0.3, 0.3]))


def test_siblings() -> None:
    first, second = found_here("siblings", diversity_rate=0.5)
    assert first == [
        ([W1, W1, EOS], logs([0.9, 0.6, 1], [0, 0.5, 0.5])),
        ([W1, W2, EOS], logs([0.9, 0.4, 1], [0, 1, 0.5])),
    ]
    assert second == [
        ([W1, W2, EOS], logs([0.7, 0.4, 0.9], [0, 0.5, 0.5])),
        ([W1, W1, EOS], logs([0.7, 0.35, 0.9], [0, 1, 0.5])),
    ]


def test_overlaps() -> None:
    overlaps = Overlaps(torch.zeros(1, 2, 2))
    overlaps.add(torch.tensor([[[4, 4], [5, 6], [7, 7]]]), 0.5)
    assert overlaps.overlaps[0, 1, 0] == 1.0
    overlaps.add(torch.tensor([[[4, 4], [5, 5], [7, 7]]]), 0.5)
    assert overlaps.overlaps[0, 1, 0] == 2.0


@pytest.mark.parametrize(
    ("name", "options"),
    [("groups", {"num_groups": 1}), ("siblings", {"diversity_rate": 0.0})],
)
def test_without_diversity_it_is_beam_search(name: str, options: dict[str, Any]) -> None:
    model, batch = toy_transformer(), random_sources()
    for beam_size in (1, 4):
        expected = search("beam", model, batch, beam_size=beam_size)
        assert_same(search(name, model, batch, beam_size=beam_size, **options), expected)


@pytest.mark.parametrize(
    ("name", "options"), [("groups", {"num_groups": 2, "diversity_discount": 0.5}), ("siblings", {})]
)
def test_batches_change_nothing(name: str, options: dict[str, Any]) -> None:
    model, batch = toy_transformer(), random_sources()
    options = {"beam_size": 4, **options}
    found = search(name, model, batch, **options)
    assert_same(search(name, model, random_sources(left=True), **options), found)
    for numbers in ([7, 6, 5, 4, 3, 2, 1, 0], [2, 5], [1]):
        assert_same(search(name, model, select(batch, numbers), **options), [found[number] for number in numbers])


def test_groups_use_more_words() -> None:
    """Different words among the hypotheses of a sentence."""
    model, batch = toy_transformer(), random_sources()
    counts = []
    for strength in (0.0, 0.5, 3.0):
        nbests = search("groups", model, batch, beam_size=4, num_groups=4, diversity_strength=strength)
        counts.append(sum(len({int(word) for h in nbest for word in h.tokens}) for nbest in nbests))
    assert counts[0] < min(counts[1:])


@pytest.mark.parametrize("multiple", [1, 2])
def test_groups_stay_apart_when_hypotheses_end(multiple: int) -> None:
    """With a strength that nothing outweighs no two groups choose the same word in a step, unless it is the end."""
    model, batch = toy_transformer(), random_sources()
    options = {"beam_size": 3, "num_groups": 3, "diversity_strength": 100.0, "normalize_scores": False}
    for nbest in search("groups", model, batch, candidate_multiple=multiple, min_length=0, **options):
        for one, other in itertools.combinations([h.tokens.tolist()[:-1] for h in nbest], 2):
            assert all(a != b for a, b in zip(one, other, strict=False))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 4, "num_groups": 3}, "num_groups=3 is not valid: it must divide beam_size=4"),
        ({"num_groups": 0}, "num_groups=0 is not valid"),
        ({"candidate_multiple": 3}, "candidate_multiple=3 is not valid: give 1 or 2"),
    ],
)
def test_invalid_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiverseBeamConfig(**options)
