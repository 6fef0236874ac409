import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.beam import BeamSearch, BeamSearchConfig, likeliest
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.generators.search import LengthFrom
from seqexp.models.transformer import Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from tests.unit.generators.stub import EOS, PAD, UNK, StubModel, sources

W1, W2 = 4, 5


def search(models: list[Any], batch: PairBatch, **options: Any) -> list[list[Hypothesis]]:
    defaults: dict[str, Any] = {"max_length_a": 0.0, "max_length_b": 200, "nbest": options.get("beam_size", 5)}
    config = BeamSearchConfig(**{**defaults, **options})
    return BeamSearch(config, eos=EOS, pad=PAD, unk=UNK).generate(models, batch)


# A model whose probabilities depend on step and beam only. Rows: sentence 1 with beams 1 and 2, sentence 2 the same;
# columns: </s>, <unk>, w1, w2. After the last step </s> is certain.
STEPS = [
    [[0, 0, 0.9, 0.1], [0, 0, 0.9, 0.1], [0, 0, 0.7, 0.3], [0, 0, 0.7, 0.3]],
    [[1, 0, 0, 0], [0, 0, 0.9, 0.1], [0.25, 0, 0.35, 0.4], [0, 0, 0.1, 0.9]],
    [[0, 0, 0.1, 0.9], [0.6, 0, 0.2, 0.2], [0.6, 0, 0.4, 0], [0.01, 0, 0, 0.99]],
    [[1, 0, 0, 0], [1, 0, 0, 0], [0.1, 0, 0.5, 0.4], [1, 0, 0, 0]],
]


def by_step_and_beam(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
    row = STEPS[len(prefix)][2 * sentence + beam] if len(prefix) < len(STEPS) else [1, 0, 0, 0]
    return torch.tensor([0, 0, *row]).log()


LONG_1, SHORT_1 = [W2, W1, W2, EOS], [W1, EOS]
LONG_2, SHORT_2 = [W1, W2, W1, EOS], [W1, W2, EOS]


@pytest.mark.parametrize(
    ("options", "first", "second"),
    [
        (
            {},
            [(SHORT_1, [0.9, 1], -0.05268), (LONG_1, [0.1, 0.9, 0.9, 1], -0.62833)],
            [(LONG_2, [0.7, 0.4, 0.4, 1], -0.54731), (SHORT_2, [0.7, 0.4, 0.6], -0.59460)],
        ),
        (
            {"normalize_scores": False},
            [(SHORT_1, [0.9, 1], -0.10536), (LONG_1, [0.1, 0.9, 0.9, 1], -2.51331)],
            [(SHORT_2, [0.7, 0.4, 0.6], -1.78379), (LONG_2, [0.7, 0.4, 0.4, 1], -2.18926)],
        ),
        (
            {"length_penalty": 0.6},
            [(SHORT_1, [0.9, 1], -0.06951), (LONG_1, [0.1, 0.9, 0.9, 1], -1.09398)],
            [(SHORT_2, [0.7, 0.4, 0.6], -0.92272), (LONG_2, [0.7, 0.4, 0.4, 1], -0.95293)],
        ),
        (
            {"length_penalty": 5.0},
            [(LONG_1, [0.1, 0.9, 0.9, 1], -0.00245), (SHORT_1, [0.9, 1], -0.00329)],
            [(LONG_2, [0.7, 0.4, 0.4, 1], -0.00214), (SHORT_2, [0.7, 0.4, 0.6], -0.00734)],
        ),
        (
            {"max_length_b": 2},
            [(SHORT_1, [0.9, 1], -0.05268), ([W2, W2, EOS], [0.1, 0.1, 0.6], -1.70533)],
            [(SHORT_2, [0.7, 0.4, 0.6], -0.59460), ([W2, W2, EOS], [0.3, 0.9, 0.01], -1.97150)],
        ),
    ],
)
def test_known_hypotheses(options: dict[str, Any], first: list[Any], second: list[Any]) -> None:
    found = search([StubModel(by_step_and_beam)], sources(0, 1), beam_size=2, **options)
    for nbest, expected_nbest in zip(found, (first, second), strict=True):
        for hypothesis, (tokens, probabilities, score) in zip(nbest, expected_nbest, strict=True):
            assert hypothesis.tokens.tolist() == tokens
            assert hypothesis.score == pytest.approx(score, abs=1e-5)
            assert hypothesis.positional_scores.exp().tolist() == pytest.approx(probabilities, rel=1e-5)


NUM_WORDS, WORDS = 48, (4, 5)


def by_prefix(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
    """Random scores that depend on all that came before; two words are possible, besides `</s>`."""
    generator = torch.Generator().manual_seed(sum((token - 3) * 3**n for n, token in enumerate(prefix, 1)) + sentence)
    scores = torch.full((NUM_WORDS,), float("-inf"))
    scores[[EOS, *WORDS]] = torch.randn(3, generator=generator) * 2
    return scores.log_softmax(dim=0)


@pytest.mark.parametrize("sentence", [1000, 2000, 3000])
@pytest.mark.parametrize(
    "options", [{}, {"length_penalty": 0.3}, {"normalize_scores": False}, {"min_length": 2}, {"temperature": 2.0}]
)
def test_a_wide_beam_finds_all_hypotheses(sentence: int, options: dict[str, Any]) -> None:
    max_length = 4
    (found,) = search(
        [StubModel(by_prefix)], sources(sentence), beam_size=40, **{"max_length_b": max_length, **options}
    )
    expected = []
    for length in range(options.get("min_length", 1), max_length + 1):
        for words in itertools.product(WORDS, repeat=length):
            tokens = (*words, EOS)
            expected.append((score_of(sentence, tokens, max_length, options), tokens))
    expected.sort(reverse=True)
    assert [tuple(hypothesis.tokens.tolist()) for hypothesis in found] == [tokens for _, tokens in expected]
    assert [hypothesis.score for hypothesis in found] == pytest.approx([score for score, _ in expected], abs=1e-5)


def test_a_wide_beam_finds_the_best_of_many_models() -> None:
    """Of each of 100 models, the one that is asked for: here the search ends early."""
    found = search([StubModel(by_prefix)], sources(*range(4000, 4100)), beam_size=14, nbest=1, max_length_b=3)
    all_words = [words for length in (1, 2, 3) for words in itertools.product(WORDS, repeat=length)]
    for sentence, nbest in enumerate(found, start=4000):
        scores = {(*words, EOS): score_of(sentence, (*words, EOS), 3, {}) for words in all_words}
        best = max(scores, key=scores.__getitem__)
        assert tuple(nbest[0].tokens.tolist()) == best
        assert nbest[0].score == pytest.approx(scores[best], abs=1e-5)


def score_of(sentence: int, tokens: tuple[int, ...], max_length: int, options: dict[str, Any]) -> float:
    total = 0.0
    for n, token in enumerate(tokens):
        scores = by_prefix(sentence, 0, tokens[:n]) / options.get("temperature", 1.0)
        total += float(scores.log_softmax(dim=0)[token])
    if not options.get("normalize_scores", True):
        return total
    return total / len(tokens) ** options.get("length_penalty", 1.0)


def test_hardly_more_words_than_beams() -> None:
    """Finished hypotheses take places among the candidates, and nothing may follow them."""
    probabilities = torch.tensor([0.0, 0.0, 0.5, 0.0, 0.4, 0.1])
    (found,) = search(
        [StubModel(lambda *_: probabilities.log())],
        sources(0),
        beam_size=10,
        min_length=0,
        max_length_b=2,
        normalize_scores=False,
    )
    tokens = [hypothesis.tokens.tolist() for hypothesis in found]
    assert tokens[0] == [EOS]
    assert len(tokens) == len({tuple(t) for t in tokens})
    assert all(EOS not in t[:-1] for t in tokens)


def test_ensemble_averages_probabilities() -> None:
    def other(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
        return by_prefix(sentence + 500, beam, prefix)

    def mean(sentence: int, beam: int, prefix: tuple[int, ...]) -> Tensor:
        return ((by_prefix(sentence, beam, prefix).exp() + other(sentence, beam, prefix).exp()) / 2).log()

    options = {"beam_size": 4, "max_length_b": 6}
    (together,) = search([StubModel(by_prefix), StubModel(other)], sources(1000), **options)
    (expected,) = search([StubModel(mean)], sources(1000), **options)
    (alone,) = search([StubModel(by_prefix)], sources(1000), **options)
    assert together[0].score != pytest.approx(alone[0].score, abs=1e-3)
    assert_same([together], [expected])
    assert_same(search([StubModel(by_prefix)] * 2, sources(1000), **options), [alone])


def test_unknown_words_are_penalised() -> None:
    probabilities = torch.tensor([0, 0, 0.1, 0.5, 0.4, 0]).log()
    model = StubModel(lambda *_: probabilities)
    assert UNK in search([model], sources(0), beam_size=1, max_length_b=2)[0][0].tokens
    (hypothesis,) = search([model], sources(0), beam_size=1, max_length_b=2, unk_penalty=1.0)[0]
    assert UNK not in hypothesis.tokens


def test_start_symbol() -> None:
    seen = []

    class Recorder(StubModel):
        def decode(self, tokens: Tensor, *arguments: Any) -> Any:
            seen.append(tokens[:, 0].tolist())
            return super().decode(tokens, *arguments)

    model = Recorder(lambda *_: torch.tensor([0, 0, 1.0, 0, 0, 0]).log())
    for start in (None, 5):
        config = BeamSearchConfig(beam_size=1, min_length=0)
        BeamSearch(config, eos=EOS, pad=PAD, unk=UNK, start=start).generate([model], sources(0))
    assert seen == [[EOS], [5]]


def test_impossible_sentence_has_no_hypothesis() -> None:
    """Where `</s>` has probability 0 until the longest length."""
    never_ends = torch.tensor([0, 0, 0, 0, 0.5, 0.5]).log()
    assert search([StubModel(lambda *_: never_ends)], sources(0), beam_size=2, max_length_b=3) == [[]]


# A transformer with random weights, on sentences of different lengths.


@pytest.fixture(scope="module")
def transformer() -> Transformer:
    torch.manual_seed(2)
    side: dict[str, Any] = {"num_layers": 2, "hidden_size": 16, "ffn_size": 32, "num_heads": 2}
    config = TransformerConfig(encoder=EncoderConfig(**side), decoder=DecoderConfig(**side), max_target_positions=30)
    model = Transformer(config, source_vocabulary_size=30, target_vocabulary_size=30, padding_index=PAD).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model


def random_sources(left: bool = False) -> PairBatch:
    generator = torch.Generator().manual_seed(7)
    lengths = [9, 3, 6, 12, 4, 7, 5, 11]
    rows = torch.full((len(lengths), 14), PAD)
    for row, length in zip(rows, lengths, strict=True):
        part = row[-length:] if left else row[:length]
        part[:] = torch.randint(4, 30, (length,), generator=generator)
        part[-1] = EOS
    return PairBatch(torch.arange(len(lengths)), 0, rows, torch.tensor(lengths))


def select(batch: PairBatch, numbers: list[int]) -> PairBatch:
    return PairBatch(batch.indices[numbers], 0, batch.source_tokens[numbers], batch.source_lengths[numbers])


def assert_same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    for nbest, expected_nbest in zip(found, expected, strict=True):
        for ours, theirs in zip(nbest, expected_nbest, strict=True):
            assert ours.tokens.tolist() == theirs.tokens.tolist()
            assert ours.score == pytest.approx(theirs.score, abs=1e-5)
            torch.testing.assert_close(ours.positional_scores, theirs.positional_scores, atol=1e-5, rtol=1e-5)


SETTINGS: list[dict[str, Any]] = [
    {"beam_size": 4, "max_length_a": 1.0, "max_length_b": 3},
    {"beam_size": 3, "max_length_a": 1.5, "max_length_b": 0, "no_repeat_ngram_size": 2, "unk_penalty": 0.5},
    {"beam_size": 1, "max_length_a": 1.0, "max_length_b": 5, "min_length": 7, "length_penalty": 0.5},
]


@pytest.mark.parametrize("options", SETTINGS)
def test_batches_change_nothing(transformer: Transformer, options: dict[str, Any]) -> None:
    batch = random_sources()
    expected = search([transformer], batch, **options)
    assert len({len(nbest[0].tokens) for nbest in expected}) > 2  # they end at different times
    assert_same(search([transformer], random_sources(left=True), **options), expected)
    for numbers in ([7, 6, 5, 4, 3, 2, 1, 0], [2, 5], [1]):
        found = search([transformer], select(batch, numbers), **options)
        assert_same(found, [expected[number] for number in numbers])


def test_length_from_the_batch(transformer: Transformer) -> None:
    """Every sentence may be as long as the padded width of the batch allows."""
    options: dict[str, Any] = {"beam_size": 2, "max_length_a": 1.0, "max_length_b": 0, "min_length": 14}
    for nbest in search([transformer], random_sources(), max_length_from=LengthFrom.batch, **options):
        assert {len(hypothesis.tokens) for hypothesis in nbest} == {15}


def test_lengths(transformer: Transformer) -> None:
    batch = random_sources()
    found = search([transformer], batch, beam_size=2, max_length_a=0.5, max_length_b=1, min_length=2)
    for nbest, length in zip(found, batch.source_lengths.tolist(), strict=True):
        for hypothesis in nbest:
            # `min_length` is met even where the other limit is below it.
            assert 3 <= len(hypothesis.tokens) <= max(int(0.5 * length + 1), 2) + 1


def test_the_model_limits_the_length(transformer: Transformer) -> None:
    batch = select(random_sources(), [0])
    (nbest,) = search([transformer], batch, beam_size=2, min_length=29)
    assert {len(hypothesis.tokens) for hypothesis in nbest} == {30}
    with pytest.raises(ValueError, match="min_length=30 is not valid: the model allows 29 at most"):
        search([transformer], batch, beam_size=2, min_length=30)


def test_score_is_the_sum_of_positional_scores(transformer: Transformer) -> None:
    for nbest in search([transformer], random_sources(), beam_size=4, length_penalty=0.7, max_length_b=9):
        for hypothesis in nbest:
            total = hypothesis.positional_scores.sum().item()
            assert hypothesis.score == pytest.approx(total / len(hypothesis.tokens) ** 0.7, abs=1e-5)
        assert [h.score for h in nbest] == sorted((h.score for h in nbest), reverse=True)


def test_positional_scores_are_the_models(transformer: Transformer) -> None:
    batch = select(random_sources(), [2])
    with torch.no_grad():
        encoded = transformer.encode(batch.source_tokens, batch.source_lengths)
        for hypothesis in search([transformer], batch, beam_size=3, max_length_b=8)[0]:
            previous = torch.cat([torch.tensor([EOS]), hypothesis.tokens[:-1]])[None]
            log_probs = transformer.decode(previous, encoded).logits.log_softmax(dim=2)[0]
            expected = log_probs.gather(1, hypothesis.tokens[:, None]).squeeze(1)
            torch.testing.assert_close(hypothesis.positional_scores, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_repeated_ngrams(transformer: Transformer, size: int) -> None:
    found = search([transformer], random_sources(), beam_size=3, min_length=12, no_repeat_ngram_size=size)
    for hypothesis in itertools.chain(*found):
        tokens = hypothesis.tokens.tolist()
        ngrams = [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]
        assert len(set(ngrams)) == len(ngrams)


def test_nbest(transformer: Transformer) -> None:
    all_three = search([transformer], random_sources(), beam_size=3, max_length_b=9)
    best_two = search([transformer], random_sources(), beam_size=3, max_length_b=9, nbest=2)
    assert_same(best_two, [nbest[:2] for nbest in all_three])


@pytest.mark.parametrize(
    "options",
    [
        {"max_length_a": 1.0, "max_length_b": 5},
        {"min_length": 4, "no_repeat_ngram_size": 2, "temperature": 0.5, "max_length_b": 20},
        {"normalize_scores": False, "unk_penalty": -3.0, "max_length_a": 0.5, "max_length_b": 1},
    ],
)
def test_greedy_is_a_beam_of_one(transformer: Transformer, options: dict[str, Any]) -> None:
    options = {"max_length_a": 0.0, **options}
    greedy = Greedy(GreedyConfig(**options), eos=EOS, pad=PAD, unk=UNK).generate([transformer], random_sources())
    assert_same(greedy, search([transformer], random_sources(), beam_size=1, **options))


def test_nothing_keeps_a_gradient(transformer: Transformer) -> None:
    (nbest,) = search([transformer], select(random_sources(), [0]), beam_size=2)
    assert not nbest[0].positional_scores.requires_grad
    assert math.isfinite(nbest[0].score)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size=0 is not valid: it must be positive"),
        ({"beam_size": 2, "nbest": 3}, "nbest=3 is not valid: it must be between 1 and beam_size=2"),
        ({"temperature": 0.0}, "temperature=0.0 is not valid"),
        ({"min_length": -1}, "min_length=-1 is not valid"),
    ],
)
def test_invalid_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BeamSearchConfig(**options)


def test_no_model() -> None:
    with pytest.raises(ValueError, match=r"models=\[\] is not valid: a search needs at least one"):
        search([], sources(0))


@pytest.mark.parametrize("num_words", [5, 64, 200, 1000])
@pytest.mark.parametrize("num_prefixes", [1, 3])
def test_likeliest(num_words: int, num_prefixes: int) -> None:
    """As topk over all words gives it."""
    generator = torch.Generator().manual_seed(num_words)
    for _ in range(20):
        log_probs = torch.randn(4, num_prefixes, num_words, generator=generator)
        log_probs[log_probs > 2] = float("-inf")
        scores = torch.randn(4, num_prefixes, generator=generator)
        values, tokens, prefixes = likeliest(log_probs, scores, 4)
        whole = log_probs + scores[:, :, None]
        torch.testing.assert_close(values, whole.flatten(1).topk(4).values)
        sentences = torch.arange(4)[:, None]
        torch.testing.assert_close(whole[sentences, prefixes, tokens], values)


@pytest.mark.parametrize("options", [{}, {"length_penalty": 2.0}, {"normalize_scores": False}, {"unk_penalty": -2.0}])
def test_leaving_early_changes_nothing(transformer: Transformer, options: dict[str, Any]) -> None:
    """A search for one hypothesis ends before one for all, with the same."""
    steps: list[int] = []
    for nbest in (1, 4):
        search = BeamSearch(BeamSearchConfig(beam_size=4, nbest=nbest, **options), eos=EOS, pad=PAD, unk=UNK)
        counting = Counting(transformer)
        found = search.generate([counting], random_sources())  # type: ignore[list-item]
        steps.append(counting.rows)
        if nbest == 1:
            best = found
    assert_same(best, [nbest[:1] for nbest in found])
    if not options.get("normalize_scores", True):
        assert steps[0] < steps[1]
    if "unk_penalty" in options:  # a reward: a prefix may become better
        assert steps[0] == steps[1]


class Counting:
    """A model that counts the rows that it is asked for."""

    def __init__(self, model: Transformer) -> None:
        self.model, self.rows = model, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def decode(self, tokens: Tensor, *arguments: Any) -> Any:
        self.rows += len(tokens)
        return self.model.decode(tokens, *arguments)
