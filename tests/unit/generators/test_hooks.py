"""What subclasses of the searches rely on."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.beam import BeamSearch, BeamSearchConfig, Candidates
from seqexp.generators.ensemble import Ensemble, Predictor, WeightedSum
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.generators.search import SearchState, Step
from seqexp.models.base import Seq2SeqModel
from tests.unit.generators.stub import EOS, PAD, UNK, StubModel, sources


def by_prefix(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
    generator = torch.Generator().manual_seed(hash((sentence, *prefix)) % 2**32)
    return (torch.randn(9, generator=generator) * 2).log_softmax(dim=0)


class Prefixes(SearchState):
    """Remembers the words of each row, and which sentence it belongs to."""

    def __init__(self, batch: PairBatch) -> None:
        self.words = batch.indices.new_empty(batch.num_sentences, 0)
        self.sentences = torch.arange(batch.num_sentences)

    def reorder(self, rows: Tensor, sentences: Tensor | None, tokens: Tensor) -> None:
        self.words = torch.cat([self.words[rows], tokens[:, None]], dim=1)
        if sentences is not None:
            self.sentences = self.sentences[sentences]


def check(step: Step) -> None:
    assert isinstance(step.state, Prefixes)
    assert torch.equal(step.state.words, step.previous)
    assert torch.equal(step.state.sentences, step.sentences)
    num_sentences, num_prefixes = step.scores.shape
    assert len(step.log_probs) == num_sentences * num_prefixes
    for row, words in enumerate(step.previous.tolist()):
        if step.scores.flatten()[row] == float("-inf"):
            continue
        sentence = int(step.sentences[row // num_prefixes])
        total = sum(float(by_prefix(sentence, 0, tuple(words[:n]))[words[n]]) for n in range(step.number))
        assert float(step.scores.flatten()[row]) == pytest.approx(total, abs=1e-5)


class CheckedBeam(BeamSearch):
    steps = 0

    def begin(self, batch: PairBatch) -> SearchState:
        return Prefixes(batch)

    def candidates(self, step: Step, num_beams: int) -> Candidates:
        self.steps += 1
        check(step)
        return super().candidates(step, num_beams)


class CheckedGreedy(Greedy):
    def begin(self, batch: PairBatch) -> SearchState:
        return Prefixes(batch)

    def restrict(self, step: Step) -> None:
        check(step)
        super().restrict(step)


def test_state_follows_the_beams() -> None:
    search = CheckedBeam(BeamSearchConfig(beam_size=3), eos=EOS, pad=PAD, unk=UNK)
    search.generate([StubModel(by_prefix)], sources(0, 1, 2, 3))
    assert search.steps > 3


def test_state_follows_greedy_search() -> None:
    search = CheckedGreedy(GreedyConfig(), eos=EOS, pad=PAD, unk=UNK)
    assert len({len(nbest[0].tokens) for nbest in search.generate([StubModel(by_prefix)], sources(*range(8)))}) > 2


def test_candidates_may_be_as_many_as_beams() -> None:
    """Finished ones leave their place empty."""

    class Narrow(BeamSearch):
        def candidates(self, step: Step, num_beams: int) -> Candidates:
            found = super().candidates(step, num_beams)
            return Candidates(*(x[:, :num_beams] for x in (found.scores, found.tokens, found.beams)))

    config = BeamSearchConfig(beam_size=4, nbest=4, max_length_b=8)
    for nbest in Narrow(config, eos=EOS, pad=PAD, unk=UNK).generate([StubModel(by_prefix)], sources(0, 1, 2)):
        assert len(nbest) == len({tuple(hypothesis.tokens.tolist()) for hypothesis in nbest})
        assert all(EOS not in hypothesis.tokens[:-1] for hypothesis in nbest)


def test_weighted_sum() -> None:
    """The second model adds half of its log-probabilities."""

    class Fused(BeamSearch):
        def predictor(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> Predictor:
            return WeightedSum([(1.0, Ensemble(models[:1], batch)), (0.5, Ensemble(models[1:], batch))])

    def other(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
        return by_prefix(sentence + 100, beam, prefix)

    config = BeamSearchConfig(beam_size=3, nbest=3, max_length_b=6)
    found = Fused(config, eos=EOS, pad=PAD, unk=UNK).generate([StubModel(by_prefix), StubModel(other)], sources(0, 1))
    for sentence, nbest in enumerate(found):
        for hypothesis in nbest:
            words = tuple(hypothesis.tokens.tolist())
            expected = [
                float(by_prefix(sentence, 0, words[:n])[word] + other(sentence, 0, words[:n])[word] / 2)
                for n, word in enumerate(words)
            ]
            assert hypothesis.positional_scores.tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_what_is_not_a_number_is_impossible(beam_size: int) -> None:
    def broken(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
        return by_prefix(sentence, beam, prefix) * (float("nan") if sentence == 1 else 1)

    search = BeamSearch(BeamSearchConfig(beam_size=beam_size), eos=EOS, pad=PAD, unk=UNK)
    found = search.generate([StubModel(broken)], sources(0, 1, 2))
    assert [len(nbest) for nbest in found] == [1, 0, 1]
