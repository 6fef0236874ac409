"""A language model beside the model, and models of different architectures together."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqexp.generators.base import Hypothesis
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.models.base import LanguageModel, Seq2SeqModel
from seqexp.models.transformer import Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.models.transformer_lm import TransformerLM, TransformerLMConfig
from seqexp.models.transformer_stack import Positions
from tests.unit.generators.stub import EOS, PAD, UNK
from tests.unit.generators.toy import NUM_WORDS, assert_same, random_sources, select, toy_transformer

WORDS = {"eos": EOS, "pad": PAD, "unk": UNK}


def toy_language_model() -> LanguageModel:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        config = TransformerLMConfig(num_layers=1, hidden_size=8, ffn_size=16, num_heads=2, max_target_positions=40)
        model = TransformerLM(config, vocabulary_size=NUM_WORDS, padding_index=PAD)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model.eval()


def search(
    models: list[Seq2SeqModel], batch: Any, language_model: Any = None, **options: Any
) -> list[list[Hypothesis]]:
    generator = BeamSearch(BeamSearchConfig(**{"beam_size": 3, "nbest": 3, **options}), **WORDS)
    generator.language_model = language_model
    return generator.generate(models, batch)


def log_probs(model: Any, tokens: Tensor, *encoded: Any) -> Tensor:
    previous = torch.cat([torch.tensor([EOS]), tokens[:-1]])[None]
    with torch.no_grad():
        return model.decode(previous, *encoded).logits.log_softmax(dim=2)[0].gather(1, tokens[:, None]).squeeze(1)


def test_log_probabilities_are_added() -> None:
    model, language_model, batch = toy_transformer(), toy_language_model(), select(random_sources(), [0])
    encoded = model.encode(batch.source_tokens, batch.source_lengths)
    found = search([model], batch, language_model, lm_weight=0.5)[0]
    for hypothesis in found:
        tokens = hypothesis.tokens
        expected = log_probs(model, tokens, encoded) + 0.5 * log_probs(language_model, tokens)
        torch.testing.assert_close(hypothesis.positional_scores, expected, atol=1e-5, rtol=1e-5)
    assert found[0].tokens.tolist() != search([model], batch)[0][0].tokens.tolist()


def test_without_weight_it_changes_nothing() -> None:
    model, batch = toy_transformer(), random_sources()
    assert_same(search([model], batch, toy_language_model(), lm_weight=0.0), search([model], batch))


def test_batches_change_nothing() -> None:
    model, language_model, batch = toy_transformer(), toy_language_model(), random_sources()
    found = search([model], batch, language_model)
    for numbers in ([7, 6, 5, 4, 3, 2, 1, 0], [2, 5], [1]):
        assert_same(search([model], select(batch, numbers), language_model), [found[number] for number in numbers])
    greedy = Greedy(GreedyConfig(), **WORDS)
    greedy.language_model = language_model
    assert_same(greedy.generate([model], batch), search([model], batch, language_model, beam_size=1, nbest=1))


def test_a_config_that_names_one_loads_it() -> None:
    language_model = toy_language_model()
    generator = BeamSearch(BeamSearchConfig(lm="runs/lm"), **WORDS)
    generator.fuse({"runs/lm": language_model}.__getitem__)
    assert generator.language_model is language_model
    generator = BeamSearch(BeamSearchConfig(), **WORDS)
    generator.fuse({}.__getitem__)
    assert generator.language_model is None


def test_constraints_need_a_search_that_knows_them() -> None:
    batch = replace(select(random_sources(), [0]), constraints=[[[7]]])
    with pytest.raises(ValueError, match=r"constraints=.* is not valid: take generator=constrained_beam"):
        search([toy_transformer()], batch)


def test_models_of_two_architectures() -> None:
    """Of other depth, width and positions; each word's probability is the mean of theirs."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        deep: dict[str, Any] = {"num_layers": 3, "hidden_size": 8, "ffn_size": 8, "num_heads": 1}
        config = TransformerConfig(
            encoder=EncoderConfig(**deep, positions=Positions.learned),
            decoder=DecoderConfig(**deep, positions=Positions.learned),
        )
        sizes = {"source_vocabulary_size": NUM_WORDS, "target_vocabulary_size": NUM_WORDS}
        other = Transformer(config, **sizes, padding_index=PAD).eval()
    models, batch = [toy_transformer(), other], random_sources()
    found = search(models, batch)
    for row, nbest in enumerate(found):
        alone = select(batch, [row])
        encoded = [model.encode(alone.source_tokens, alone.source_lengths) for model in models]
        for hypothesis in nbest:
            pairs = zip(models, encoded, strict=True)
            each = torch.stack([log_probs(model, hypothesis.tokens, states).exp() for model, states in pairs])
            torch.testing.assert_close(hypothesis.positional_scores.exp(), each.mean(dim=0), atol=1e-5, rtol=1e-5)
    assert_same(search(models, select(batch, [4, 2])), [found[4], found[2]])
