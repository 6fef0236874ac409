from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.data.vocabulary import Vocabulary
from seqexp.generators.base import Generator, GeneratorConfig, Hypothesis, make_generator
from seqexp.generators.mbr import MBR, MBRConfig
from seqexp.generators.sampling import SamplingConfig
from seqexp.scorers.bleu import BLEUConfig
from seqexp.scorers.chrf import ChrFConfig
from seqexp.scorers.ter import TERConfig
from tests.unit.generators.stub import EOS
from tests.unit.generators.toy import assert_same, random_sources, select, toy_transformer

VOCABULARY = Vocabulary()
for word in ("a", "dog", "cat", "runs", "sleeps", "stone"):
    VOCABULARY.add(word)


def decode(tokens: Tensor) -> str:
    return VOCABULARY.decode(tokens)


class Given(Generator):
    """A search that finds these hypotheses: text and log-probability."""

    def __init__(self, *found: tuple[str, float]) -> None:
        self.found = found

    def generate(self, models: Any, batch: Any) -> list[list[Hypothesis]]:
        nbest = []
        for text, log_prob in self.found:
            tokens = torch.from_numpy(VOCABULARY.encode(text))
            scores = torch.full((len(tokens),), log_prob / len(tokens))
            nbest.append(Hypothesis(tokens, log_prob, scores))
        return [nbest]


def ranked(*found: tuple[str, float], utility: Any = None, **options: Any) -> list[tuple[str, float]]:
    utility = utility or BLEUConfig(effective_order=True, max_ngram_order=1, smooth_method="none")
    config = MBRConfig(candidates=SamplingConfig(), utility=utility, nbest=10, **options)
    search = make_generator(config, VOCABULARY, decode)
    assert isinstance(search, MBR)
    search._candidates = Given(*found)
    (nbest,) = search.generate([], None)  # type: ignore[arg-type]
    return [(decode(hypothesis.tokens), hypothesis.score) for hypothesis in nbest]


DOG, CAT, STONE = ("a dog runs", -4.0), ("a cat runs", -5.0), ("stone", -1.0)


def test_the_one_most_like_the_others_wins() -> None:
    """Unigram BLEU of dog and cat for each other is two thirds, of each for itself 1."""
    assert ranked(DOG, CAT, CAT, STONE)[:2] == [
        ("a cat runs", pytest.approx((100 + 100 + 200 / 3) / 4)),
        ("a dog runs", pytest.approx((100 + 2 * 200 / 3) / 4)),
    ]


def test_lower_may_be_better() -> None:
    """An edit rate is ranked from the lowest."""
    found = ranked(DOG, CAT, CAT, utility=TERConfig())
    assert [text for text, _ in found] == ["a cat runs", "a dog runs"]
    assert found[0][1] == pytest.approx(100 / 9)


def test_weights_of_probability() -> None:
    """The stone is likely, so to be like it is worth most."""
    assert ranked(DOG, CAT, STONE)[0][0] != "stone"
    assert ranked(DOG, CAT, STONE, by_probability=True)[0][0] == "stone"


def test_nothing_found() -> None:
    assert ranked() == []


def test_one_sample_is_that_sample() -> None:
    """And batches change nothing."""
    model, batch = toy_transformer(), random_sources()

    def generate(config: GeneratorConfig, batch: Any) -> list[list[Hypothesis]]:
        return make_generator(config, VOCABULARY, lambda tokens: " ".join(map(str, tokens.tolist()))).generate(
            [model], batch
        )

    (sampled, decided) = (
        generate(config, batch)
        for config in (SamplingConfig(), MBRConfig(candidates=SamplingConfig(), utility=ChrFConfig()))
    )
    for nbest, one in zip(decided, sampled, strict=True):
        assert nbest[0].tokens.tolist() == one[0].tokens.tolist()
        assert nbest[0].score == pytest.approx(100.0)
        assert nbest[0].tokens[-1] == EOS
    config = MBRConfig(candidates=SamplingConfig(num_samples=4), utility=ChrFConfig(), nbest=2)
    found = generate(config, batch)
    assert_same(generate(config, select(batch, [5, 0, 3])), [found[number] for number in (5, 0, 3)])


def test_invalid_options() -> None:
    with pytest.raises(ValueError, match="nbest=0 is not valid: it must be positive"):
        MBRConfig(nbest=0)
