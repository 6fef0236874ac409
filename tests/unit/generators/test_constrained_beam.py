import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.constrained_beam import ConstrainedBeam, ConstrainedBeamConfig
from seqexp.generators.constraints import ConstraintOrder
from tests.unit.generators.stub import EOS, PAD, UNK, StubModel, sources
from tests.unit.generators.toy import assert_same, random_sources, select, toy_transformer

WORDS = {"eos": EOS, "pad": PAD, "unk": UNK}
ORDERED, UNORDERED = ConstraintOrder.ordered, ConstraintOrder.unordered
Constraints = list[list[list[int]]]


def search(model: Any, batch: PairBatch, constraints: Constraints | None, **options: Any) -> list[list[Hypothesis]]:
    config = ConstrainedBeamConfig(**{"nbest": options["beam_size"], **options})
    return ConstrainedBeam(config, **WORDS).generate([model], replace(batch, constraints=constraints))


NUM_WORDS, A, B, C = 140, 4, 5, 6


def by_prefix(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
    """Random scores that depend on all that came before; three words are possible, besides `</s>`."""
    generator = torch.Generator().manual_seed(sum((token - 3) * 4**n for n, token in enumerate(prefix, 1)) + sentence)
    scores = torch.full((NUM_WORDS,), float("-inf"))
    scores[[EOS, A, B, C]] = torch.randn(4, generator=generator) * 2
    return scores.log_softmax(dim=0)


@pytest.mark.parametrize("order", [ORDERED, UNORDERED])
@pytest.mark.parametrize("phrases", [[[A]], [[B, C]], [[A], [B]], [[C, A], [C]], [[A, A], [B, A]]])
def test_a_wide_beam_finds_all_that_contain_them(order: ConstraintOrder, phrases: list[list[int]]) -> None:
    max_length = 4
    options: dict[str, Any] = {"max_length_a": 0.0, "max_length_b": max_length, "beam_size": 130}
    (found,) = search(StubModel(by_prefix), sources(1000), [phrases], constraint_order=order, **options)
    expected = []
    for length in range(1, max_length + 1):
        for words in itertools.product((A, B, C), repeat=length):
            state = order.begin(phrases)
            for word in words:
                state = state.advance(word)
            if state.finished:
                tokens = (*words, EOS)
                each = (float(by_prefix(1000, 0, tokens[:n])[token]) for n, token in enumerate(tokens))
                expected.append((sum(each) / len(tokens), tokens))
    expected = sorted(expected, reverse=True)
    assert [tuple(hypothesis.tokens.tolist()) for hypothesis in found] == [tokens for _, tokens in expected]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in expected], abs=1e-5)


def test_without_constraints_it_is_beam_search() -> None:
    model, batch = toy_transformer(), random_sources()
    for beam_size in (1, 4):
        expected = BeamSearch(BeamSearchConfig(beam_size=beam_size, nbest=beam_size), **WORDS).generate([model], batch)
        assert_same(search(model, batch, None, beam_size=beam_size), expected)
        assert_same(search(model, batch, [[]] * 8, beam_size=beam_size), expected)


SOME: Constraints = [[[7, 8]], [], [[9], [10, 11]], [[12, 12, 13]], [], [[5], [5]], [[20]], [[21, 22, 23], [6]]]


@pytest.mark.parametrize("order", [ORDERED, UNORDERED])
@pytest.mark.parametrize("beam_size", [1, 4])
def test_every_hypothesis_contains_its_phrases(order: ConstraintOrder, beam_size: int) -> None:
    found = search(toy_transformer(), random_sources(), SOME, beam_size=beam_size, constraint_order=order)
    for nbest, phrases in zip(found, SOME, strict=True):
        assert nbest
        for hypothesis in nbest:
            state = order.begin(phrases)
            for word in hypothesis.tokens.tolist()[:-1]:
                state = state.advance(word)
            assert state.finished
            total = float(hypothesis.positional_scores.sum())
            assert hypothesis.score == pytest.approx(total / len(hypothesis.tokens), abs=1e-5)


def test_positional_scores_are_the_models() -> None:
    model, batch = toy_transformer(), select(random_sources(), [2])
    with torch.no_grad():
        encoded = model.encode(batch.source_tokens, batch.source_lengths)
        for hypothesis in search(model, batch, [SOME[2]], beam_size=3)[0]:
            previous = torch.cat([torch.tensor([EOS]), hypothesis.tokens[:-1]])[None]
            log_probs = model.decode(previous, encoded).logits.log_softmax(dim=2)[0]
            expected = log_probs.gather(1, hypothesis.tokens[:, None]).squeeze(1)
            torch.testing.assert_close(hypothesis.positional_scores, expected, atol=1e-5, rtol=1e-5)


def test_batches_change_nothing() -> None:
    model, batch = toy_transformer(), replace(random_sources(), constraints=SOME)
    found = search(model, batch, SOME, beam_size=4)
    for numbers in ([7, 6, 5, 4, 3, 2, 1, 0], [2, 5], [1]):
        part = select(batch, numbers)
        again = search(model, part, [SOME[number] for number in numbers], beam_size=4)
        assert_same(again, [found[number] for number in numbers])


def test_constraints_longer_than_the_longest_length() -> None:
    """They go before `max_length_b`."""
    phrases = [[7, 8, 9], [10, 11, 12]]
    options: dict[str, Any] = {"beam_size": 2, "max_length_a": 0.0, "max_length_b": 3}
    for hypothesis in search(toy_transformer(), select(random_sources(), [0]), [phrases], **options)[0]:
        assert sorted(hypothesis.tokens.tolist()) == [EOS, 7, 8, 9, 10, 11, 12]
    begun = replace(select(random_sources(), [0]), prefix_tokens=torch.tensor([[20, 21, 22]]))
    for hypothesis in search(toy_transformer(), begun, [phrases], **options)[0]:
        assert hypothesis.tokens.tolist()[:3] == [20, 21, 22]
        assert sorted(hypothesis.tokens.tolist()[3:]) == [EOS, 7, 8, 9, 10, 11, 12]
    with pytest.raises(ValueError, match="constraints=30 words is not valid: the model allows 29 at most"):
        search(toy_transformer(), select(random_sources(), [0]), [[[7] * 30]], beam_size=2)


def test_a_phrase_that_the_model_excludes() -> None:
    """No hypothesis, since none has a probability."""
    assert search(StubModel(by_prefix), sources(1), [[[20]]], beam_size=2, max_length_b=3) == [[]]
