"""Given beginnings, allowed and suppressed tokens, least lengths, forms of length penalty."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from seqexp.data.batch import PairBatch
from seqexp.data.vocabulary import Vocabulary
from seqexp.generators.base import Hypothesis, make_generator
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.generators.sampling import SamplingConfig
from seqexp.generators.search import LengthPenalty, Search, SearchConfig
from seqexp.runtime.errors import UserError
from tests.unit.generators.stub import EOS, PAD, UNK
from tests.unit.generators.toy import NUM_WORDS, assert_same, random_sources, select, toy_transformer

VOCABULARY = Vocabulary()
for number in range(NUM_WORDS - len(VOCABULARY)):
    VOCABULARY.add(f"w{number}")
WORDS = {"eos": EOS, "pad": PAD, "unk": UNK, "vocabulary": VOCABULARY}
CONFIGS: list[tuple[type[SearchConfig], dict[str, Any]]] = [
    (BeamSearchConfig, {"beam_size": 3, "nbest": 3}),
    (GreedyConfig, {}),
    (SamplingConfig, {"num_samples": 3}),
]
every_search = pytest.mark.parametrize(("config", "options"), CONFIGS)


def generator(config: SearchConfig) -> Search:
    found = make_generator(config, VOCABULARY, str)
    assert isinstance(found, Search)
    return found


def generate(config: SearchConfig, batch: PairBatch) -> list[list[Hypothesis]]:
    return generator(config).generate([toy_transformer()], batch)


PREFIXES = [[7, 8], [], [9], [10, 11, 12], [], [5, 5, 5], [EOS + 4], [UNK]]


def with_prefixes(batch: PairBatch) -> PairBatch:
    rows = [torch.tensor(prefix, dtype=torch.int64) for prefix in PREFIXES]
    tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
    return replace(batch, prefix_tokens=tokens)


@every_search
def test_hypotheses_begin_with_their_prefix(config: type[SearchConfig], options: dict[str, Any]) -> None:
    """Also where other options forbid it, and where it is longer than a hypothesis may be."""
    made = config(**options, max_length_a=0.0, max_length_b=2, no_repeat_ngram_size=1, tokens_to_suppress=["w3"])
    found = generate(made, with_prefixes(random_sources()))
    free = generate(made, random_sources())
    for nbest, prefix, without in zip(found, PREFIXES, free, strict=True):
        assert nbest
        for hypothesis in nbest:
            assert hypothesis.tokens.tolist()[: len(prefix)] == prefix
            assert hypothesis.positional_scores.isfinite().all()
        if not prefix:
            assert_same([nbest], [without])


@every_search
def test_batches_change_nothing(config: type[SearchConfig], options: dict[str, Any]) -> None:
    batch = with_prefixes(random_sources())
    found = generate(config(**options), batch)
    for numbers in ([7, 6, 5, 4, 3, 2, 1, 0], [2, 5], [1]):
        again = generate(config(**options), select(batch, numbers))
        assert_same(again, [found[number] for number in numbers])


def test_a_prefix_keeps_its_probability() -> None:
    batch = select(with_prefixes(random_sources()), [3])
    model = toy_transformer()
    (hypothesis,) = BeamSearch(BeamSearchConfig(), **WORDS).generate([model], batch)[0]
    with torch.no_grad():
        previous = torch.cat([torch.tensor([EOS]), hypothesis.tokens[:-1]])[None]
        encoded = model.encode(batch.source_tokens, batch.source_lengths)
        log_probs = model.decode(previous, encoded).logits.log_softmax(dim=2)[0]
    expected = log_probs.gather(1, hypothesis.tokens[:, None]).squeeze(1)
    torch.testing.assert_close(hypothesis.positional_scores, expected, atol=1e-5, rtol=1e-5)


def test_words_of_the_reference() -> None:
    """Of one that is shorter than `prefix_size`, all words but `</s>`, after which the hypothesis is free."""
    targets = torch.tensor([[7, 8, 9, EOS], [10, EOS, PAD, PAD]])
    batch = replace(select(random_sources(), [0, 1]), target_tokens=targets)
    found = generate(BeamSearchConfig(prefix_size=2, min_length=3), batch)
    first, second = (nbest[0].tokens.tolist() for nbest in found)
    assert first[:2] == [7, 8]
    assert second[0] == 10 and len(second) > 3
    with pytest.raises(ValueError, match="prefix_size=2 is not valid: the input has no references"):
        generate(BeamSearchConfig(prefix_size=2), random_sources())


def test_a_prefix_that_is_too_long() -> None:
    batch = replace(select(random_sources(), [0]), prefix_tokens=torch.full((1, 30), 7))
    with pytest.raises(ValueError, match="prefix=30 tokens is not valid: the model allows 29 at most"):
        generate(BeamSearchConfig(), batch)


@every_search
def test_allowed_tokens(config: type[SearchConfig], options: dict[str, Any]) -> None:
    """Words that rise, in a range that depends on the example."""
    asked = set()

    def allowed(number: int, words: list[int]) -> list[int]:
        asked.add((number, tuple(words)))
        return [EOS, *range(max([number + 4, *(word + 1 for word in words)]), NUM_WORDS)]

    search = generator(config(**options, max_length_b=3))
    search.allowed_tokens = allowed
    for number, nbest in enumerate(search.generate([toy_transformer()], random_sources())):
        assert nbest
        for hypothesis in nbest:
            words = hypothesis.tokens.tolist()[:-1]
            assert words == sorted(set(words)) and words[0] >= number + 4
            assert (number, tuple(words[:1])) in asked


def test_allowing_all_changes_nothing() -> None:
    search = generator(BeamSearchConfig(beam_size=3, nbest=3))
    expected = search.generate([toy_transformer()], random_sources())
    search.allowed_tokens = lambda number, words: range(NUM_WORDS)
    assert_same(search.generate([toy_transformer()], random_sources()), expected)


@every_search
def test_suppressed_tokens(config: type[SearchConfig], options: dict[str, Any]) -> None:
    before = generate(config(**options), random_sources())
    frequent = {VOCABULARY[int(word)] for nbest in before for h in nbest for word in h.tokens[:-1]}
    suppressed = sorted(frequent)[:4]
    after = generate(config(**options, tokens_to_suppress=suppressed), random_sources())
    assert not {VOCABULARY[int(word)] for nbest in after for h in nbest for word in h.tokens} & set(suppressed)


@pytest.mark.parametrize("token", ["unheard", "</s>"])
def test_tokens_that_cannot_be_suppressed(token: str) -> None:
    with pytest.raises(UserError, match=f"generator.tokens_to_suppress={token} is not valid: give tokens of the vocab"):
        generate(GreedyConfig(tokens_to_suppress=[token]), random_sources())


def test_least_length_by_source_length() -> None:
    """As many tokens before `</s>` as the source has with it, neither more nor fewer."""
    batch = random_sources()
    exact: dict[str, Any] = {"max_length_a": 1.0, "max_length_b": 0, "min_length_a": 1.0, "min_length": 0}
    for config, options in CONFIGS:
        for nbest, length in zip(generate(config(**options, **exact), batch), batch.source_lengths, strict=True):
            assert {len(hypothesis.tokens) - 1 for hypothesis in nbest} == {int(length)}
    for nbest, length in zip(generate(GreedyConfig(min_length_a=0.5), batch), batch.source_lengths, strict=True):
        assert len(nbest[0].tokens) - 1 >= int(0.5 * length) + 1


def test_more_than_the_model_can_make_is_as_much_as_it_can() -> None:
    found = Greedy(GreedyConfig(min_length_a=10.0), **WORDS).generate(
        [toy_transformer()], select(random_sources(), [0])
    )
    assert len(found[0][0].tokens) == 30


def test_forms_of_length_penalty() -> None:
    log_probs, lengths = torch.tensor([-6.0, -6.0]), torch.tensor([1, 7])
    gnmt, power = (
        BeamSearch(BeamSearchConfig(length_penalty=2.0, length_penalty_form=form), **WORDS).score(log_probs, lengths)
        for form in (LengthPenalty.gnmt, LengthPenalty.power)
    )
    assert gnmt.tolist() == pytest.approx([-6.0, -1.5])
    assert power.tolist() == pytest.approx([-6.0, -6 / 49])
