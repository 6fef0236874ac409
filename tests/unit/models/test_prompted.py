import numpy as np
import pytest
import torch

from seqexp.data.batching import BatchLimits, Order
from seqexp.data.prompts import PromptSplit
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.models.prompted import searchable
from seqexp.models.transformer_lm import TransformerLM, TransformerLMConfig

BOS, PAD, EOS, UNK, NUM_WORDS = 0, 1, 2, 3, 12
INDICES = {"eos": EOS, "pad": PAD, "unk": UNK}
PROMPTS = [[EOS, 5, 6], [EOS, 7], [EOS, 4, 9], [EOS]]


@pytest.fixture
def model() -> TransformerLM:
    torch.manual_seed(1)
    config = TransformerLMConfig(num_layers=1, hidden_size=8, ffn_size=8, num_heads=1, max_target_positions=9)
    return TransformerLM(config, vocabulary_size=NUM_WORDS, padding_index=PAD).eval()


@pytest.fixture
def prompts() -> PromptSplit:
    return PromptSplit(["a b", "c", "d e", ""], [np.array(prompt) for prompt in PROMPTS])


@torch.no_grad()
def continued(model: TransformerLM, prompt: list[int], most: int) -> list[int]:
    """The likeliest next word again and again, each time with a whole forward pass."""
    tokens = list(prompt)
    while True:
        scores = model.decode(torch.tensor([tokens])).logits[0, -1]
        scores[PAD] = float("-inf")
        if len(tokens) == len(prompt):
            scores[EOS] = float("-inf")
        word = EOS if len(tokens) == len(prompt) + most else int(scores.argmax())
        tokens.append(word)
        if word == EOS:
            return tokens[len(prompt) :]


def test_batches_have_prompts_of_one_length(prompts: PromptSplit) -> None:
    plan = prompts.plan(BatchLimits(max_tokens=100), order=Order.by_length)
    assert [plan[number].tolist() for number in range(len(plan))] == [[3], [1], [0, 2]]
    assert prompts.collate(plan[2]).source_tokens.tolist() == [PROMPTS[0], PROMPTS[2]]
    assert len(prompts.plan(BatchLimits(max_sentences=1), order=Order.by_length)) == 4


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_search_goes_on_with_the_prompt(model: TransformerLM, prompts: PromptSplit, beam_size: int) -> None:
    options = {"max_length_a": 0.0, "max_length_b": 4}
    search = BeamSearch(BeamSearchConfig(beam_size=beam_size, **options), **INDICES)
    greedy = Greedy(GreedyConfig(**options), **INDICES)
    for numbers in ([3], [1], [0, 2]):
        batch = prompts.collate(np.array(numbers))
        found = search.generate([searchable(model)], batch)
        for number, (hypothesis,), (other,) in zip(
            numbers, found, greedy.generate([searchable(model)], batch), strict=True
        ):
            expected = continued(model, PROMPTS[number], 4)
            assert other.tokens.tolist() == expected
            if beam_size == 1:
                assert hypothesis.tokens.tolist() == expected
            # The scores of a hypothesis are those of a whole forward pass, with beams reordered too.
            whole = prompts.whole(number, hypothesis.tokens)
            log_probs = model.decode(whole[None, :-1]).logits.log_softmax(dim=-1)[0]
            own = log_probs.gather(1, whole[1:, None])[len(PROMPTS[number]) - 1 :, 0]
            torch.testing.assert_close(hypothesis.positional_scores, own)


def test_no_more_positions_than_the_model_has(model: TransformerLM) -> None:
    greedy = Greedy(GreedyConfig(max_length_b=50, min_length=3), **INDICES)
    split = PromptSplit(["x"], [np.array([EOS, 5, 6, 5, 6])])
    ((hypothesis,),) = greedy.generate([searchable(model)], split.collate(np.array([0])))
    assert len(hypothesis.tokens) <= 9 - 5 + 1
    long = PromptSplit(["x"], [np.array([EOS] * 9)])
    with pytest.raises(ValueError, match="prompt=9 tokens is not valid: with what follows, the model takes 9 at most"):
        greedy.generate([searchable(model)], long.collate(np.array([0])))


def test_other_models_write_nothing() -> None:
    with pytest.raises(TypeError, match="Linear writes no text"):
        searchable(torch.nn.Linear(1, 1))  # type: ignore[arg-type]
