from typing import Any

import pytest
import torch

from seqexp.config.base import OptionError
from seqexp.data.batch import PairBatch
from seqexp.generators.attention import hard_alignment
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.models.transformer import Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from tests.unit.generators.stub import EOS, PAD, UNK, StubModel, sources


def transformer(seed: int = 0, **options: Any) -> Transformer:
    torch.manual_seed(seed)
    side: dict[str, Any] = {"num_layers": 2, "hidden_size": 16, "ffn_size": 32, "num_heads": 2}
    config = TransformerConfig(encoder=EncoderConfig(**side), decoder=DecoderConfig(**side, **options))
    return Transformer(config, source_vocabulary_size=30, target_vocabulary_size=30, padding_index=PAD).eval()


def batch(left: bool = False) -> PairBatch:
    rows = [[5, 6, 7, 8, EOS], [9, EOS], [10, 11, EOS]]
    padding = [[PAD] * (5 - len(row)) for row in rows]
    tokens = [pad + row if left else row + pad for row, pad in zip(rows, padding, strict=True)]
    return PairBatch(torch.arange(3), 0, torch.tensor(tokens), torch.tensor([5, 2, 3]))


def beam(models: list[Any], given: PairBatch, **options: Any) -> Any:
    config = BeamSearchConfig(beam_size=3, nbest=3, max_length_b=4, **options)
    return BeamSearch(config, eos=EOS, pad=PAD, unk=UNK).generate(models, given)


def test_attention_is_that_of_each_step() -> None:
    """Whichever side the padding is on; the last row is of `</s>`."""
    model = transformer()
    expected = beam([model], batch(), return_attention=True)
    for found in (expected, beam([model], batch(left=True), return_attention=True)):
        for nbest, other, length in zip(found, expected, [5, 2, 3], strict=True):
            for hypothesis, same in zip(nbest, other, strict=True):
                assert hypothesis.attention.shape == (len(hypothesis.tokens), length)
                torch.testing.assert_close(hypothesis.attention.sum(dim=1), torch.ones(len(hypothesis.tokens)))
                torch.testing.assert_close(hypothesis.attention, same.attention, atol=1e-5, rtol=0)
                assert [target for _, target in hypothesis.alignment] == list(range(len(hypothesis.tokens) - 1))
                assert all(source < length - 1 for source, _ in hypothesis.alignment)
    with torch.no_grad():  # by hand, for one hypothesis: the last layer's mean over heads
        source = torch.tensor([[9, EOS]])
        tokens = expected[1][0].tokens
        encoded = model.encode(source, torch.tensor([2]))
        layer = model.decoder.layers[-1].cross_attention
        queries: list[Any] = []
        layer.register_forward_pre_hook(lambda _, arguments: queries.append(arguments))
        model.decode(torch.cat([torch.tensor([EOS]), tokens[:-1]])[None], encoded)
        weights = layer.weights(*queries[0])[0].mean(dim=0)
    torch.testing.assert_close(expected[1][0].attention, weights, atol=1e-5, rtol=0)


def test_attention_is_given_only_when_asked_for() -> None:
    assert beam([transformer()], batch())[0][0].attention is None


def test_layer_and_heads() -> None:
    first = [transformer(**options) for options in ({}, {"alignment_layer": 0}, {"alignment_heads": 1})]
    found = [beam([model], batch(), return_attention=True)[0][0] for model in first]
    assert found[0].tokens.tolist() == found[1].tokens.tolist() == found[2].tokens.tolist()
    assert not torch.allclose(found[0].attention, found[1].attention, atol=1e-4)
    assert not torch.allclose(found[0].attention, found[2].attention, atol=1e-4)


@pytest.mark.parametrize("options", [{"alignment_layer": 2}, {"alignment_heads": 0}, {"alignment_heads": 3}])
def test_invalid_options(options: dict[str, int]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}={options[name]} is not valid: it must be"):
        transformer(**options)


def test_ensembles_and_greedy_search() -> None:
    """The mean over the models; the hypotheses are those that the search gives without."""
    models = [transformer(0), transformer(1)]
    search = Greedy(GreedyConfig(max_length_b=4, return_attention=True), eos=EOS, pad=PAD, unk=UNK)
    for nbest, expected in zip(search.generate(models, batch()), beam(models, batch()), strict=True):
        assert nbest[0].attention is not None
        assert expected[0].attention is None
    twice, once = (search.generate(models[:1] * times, batch())[0][0] for times in (2, 1))
    torch.testing.assert_close(twice.attention, once.attention)


def test_models_without_attention() -> None:
    uniform = StubModel(lambda *_: torch.full((9,), 1 / 9).log())
    with pytest.raises(OptionError, match="return_attention=true is not valid: the model's decoder has no attention"):
        beam([uniform], sources(0), return_attention=True)


def test_hard_alignment() -> None:
    """The columns and rows of `</s>` are no words."""
    attention = torch.tensor([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1], [0.0, 0.0, 1.0]])
    source, target = torch.tensor([5, 6, EOS]), torch.tensor([7, 8, EOS])
    assert hard_alignment(attention, source, target, EOS) == [(1, 0), (0, 1)]
    assert hard_alignment(attention[:, 2:], source[2:], target, EOS) == []
    assert hard_alignment(attention[2:], source, target[2:], EOS) == []
