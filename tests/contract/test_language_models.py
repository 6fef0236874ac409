"""What holds for every language model."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hydra.utils import get_class
from torch import Tensor

from seqexp.catalog import CATALOG, import_config
from seqexp.config.build import build
from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig
from seqexp.data.batch import TextBatch
from seqexp.models.base import LanguageModel, ModelConfig
from seqexp.models.transformer_decoder import AdaptiveSoftmaxConfig
from seqexp.models.transformer_lm import AdaptiveInputConfig, TieAdaptive, TransformerLMConfig
from seqexp.models.transformer_stack import Positions
from seqexp.modules.activations import Activation
from seqexp.modules.norms import Norm

PAD, EOS, NUM_WORDS = 1, 2, 23
SMALL: dict[str, Any] = {"num_layers": 2, "hidden_size": 16, "ffn_size": 24, "num_heads": 2}

LISTED: dict[str, Any] = {
    name: config
    for name, location in CATALOG["model"].items()
    if issubclass(get_class((config := import_config(location)())._target_), LanguageModel)
}
"""Every such model of the catalog with its defaults: a new one is tested by being listed."""

MODELS: dict[str, ModelConfig] = {
    **LISTED,
    "post_norm": TransformerLMConfig(**SMALL, normalize_before=False, share_embeddings=False),
    "learned_positions": TransformerLMConfig(
        **SMALL, positions=Positions.learned, normalize_embeddings=True, final_norm=False
    ),
    "sizes_differ": TransformerLMConfig(**SMALL, input_size=10, output_size=14, share_embeddings=False),
    "adaptive": TransformerLMConfig(
        **SMALL,
        share_embeddings=False,
        adaptive_input=AdaptiveInputConfig([8, 14], 2),
        adaptive_softmax=AdaptiveSoftmaxConfig([8, 14], 2),
        tie_adaptive=TieAdaptive.all,
    ),
    "modern": TransformerLMConfig(
        **{**SMALL, "num_heads": 4},
        positions=Positions.rotary,
        norm=Norm.rms,
        activation=Activation.silu,
        gated_ffn=True,
        num_key_value_heads=2,
        normalize_keys=True,
    ),
    "alibi": TransformerLMConfig(**SMALL, positions=Positions.alibi, num_key_value_heads=1),
    "dropouts": TransformerLMConfig(**SMALL, layerdrop=0.5, attention_dropout=0.1, activation_dropout=0.1),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> LanguageModel:
    """In evaluation mode, in float64, so that nothing but a mistake makes a difference."""
    torch.manual_seed(1)
    built: LanguageModel = build(MODELS[request.param], vocabulary_size=NUM_WORDS, padding_index=PAD)
    return built.double().eval()


@pytest.fixture
def batch() -> TextBatch:
    """Three sequences of different lengths, padded on the right."""
    return text_batch([7, 4, 6])


def text_batch(lengths: list[int], left: bool = False, width: int = 0) -> TextBatch:
    generator = torch.Generator().manual_seed(2)
    texts = [torch.randint(4, NUM_WORDS, (length,), generator=generator) for length in lengths]
    previous = [torch.cat([torch.tensor([EOS]), text[:-1]]) for text in texts]
    rows = (padded(previous, left, width), padded(texts, left, width))
    return TextBatch(torch.arange(len(lengths)), sum(lengths), *rows)


def padded(rows: list[Tensor], left: bool, width: int) -> Tensor:
    width = max(width, *map(len, rows))
    missing = [torch.full((width - len(row),), PAD) for row in rows]
    return torch.stack([torch.cat([m, row] if left else [row, m]) for m, row in zip(missing, rows, strict=True)])


def target_logits(model: LanguageModel, batch: TextBatch) -> Tensor:
    """Scores at the targets, one after the other."""
    assert batch.target_tokens is not None
    return model(batch).logits[batch.target_tokens != PAD]


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-8)


@torch.no_grad()
@pytest.mark.parametrize("steps", [[1] * 40, [5, 1, 30, 4]], ids=["one", "several"])
def test_cached_decoding_equals_the_full_forward(model: LanguageModel, steps: list[int]) -> None:
    tokens = torch.randint(4, NUM_WORDS, (3, 40))  # longer than the first capacity of the caches
    state = model.initial_state()
    parts = [model.decode(part, state).logits for part in tokens.split(steps, dim=1)]
    assert_same(torch.cat(parts, dim=1), model.decode(tokens).logits)


@torch.no_grad()
def test_rows_are_reordered(model: LanguageModel) -> None:
    tokens = torch.randint(4, NUM_WORDS, (3, 4))
    state = model.initial_state()
    model.decode(tokens[:, :3], state)
    rows = torch.tensor([2, 0, 0, 1])
    state.reorder(rows)
    tokens = tokens[rows]
    assert_same(model.decode(tokens[:, 3:], state).logits, model.decode(tokens).logits[:, 3:])


@pytest.mark.parametrize("left", [False, True])
def test_padding_changes_nothing(model: LanguageModel, batch: TextBatch, left: bool) -> None:
    assert_same(target_logits(model, text_batch([7, 4, 6], left, width=9)), target_logits(model, batch))


def test_later_tokens_change_nothing(model: LanguageModel, batch: TextBatch) -> None:
    other = batch.previous_tokens.clone()
    other[:, 3:] = 5
    changed = replace(batch, previous_tokens=other)
    assert_same(model(changed).logits[:, :3], model(batch).logits[:, :3])


def test_earlier_tokens_matter(model: LanguageModel, batch: TextBatch) -> None:
    other = batch.previous_tokens.clone()
    other[:, 0] = 5
    assert not torch.allclose(model(replace(batch, previous_tokens=other)).logits[:, 2:], model(batch).logits[:, 2:])


def test_dropout_only_in_training(model: LanguageModel, batch: TextBatch) -> None:
    assert torch.equal(model(batch).logits, model(batch).logits)
    model.train()
    assert not torch.equal(model(batch).logits, model(batch).logits)


def test_gradient_reaches_every_parameter(model: LanguageModel, batch: TextBatch) -> None:
    CrossEntropy(CrossEntropyConfig(), padding_index=PAD)(model, batch).sum.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_weights_round_trip(model: LanguageModel, batch: TextBatch) -> None:
    expected = target_logits(model, batch)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    model.load_state_dict(weights)
    assert_same(target_logits(model, batch), expected)
