"""What holds for every sequence-to-sequence model."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hydra.utils import get_class
from torch import Tensor, nn

from seqexp.catalog import CATALOG, import_config
from seqexp.config.build import build
from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig
from seqexp.data.batch import PairBatch
from seqexp.models.base import Encoded, ModelConfig, Seq2SeqModel
from seqexp.models.transformer import ShareEmbeddings, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.models.transformer_stack import Positions
from seqexp.modules.activations import Activation
from seqexp.modules.norms import Norm

PAD, EOS, NUM_WORDS = 1, 2, 23
SIDE: dict[str, Any] = {"num_layers": 2, "hidden_size": 16, "ffn_size": 24, "num_heads": 2}
POST: dict[str, Any] = {**SIDE, "normalize_before": False}
LEARNED: dict[str, Any] = {**SIDE, "positions": Positions.learned}
MODERN: dict[str, Any] = {**SIDE, "norm": Norm.rms, "gated_ffn": True, "num_key_value_heads": 1, "normalize_keys": True}
NONE: dict[str, Any] = {**SIDE, "positions": Positions.none}

LISTED: dict[str, Any] = {
    name: config
    for name, location in CATALOG["model"].items()
    if issubclass(get_class((config := import_config(location)())._target_), Seq2SeqModel)
}
"""Every such model of the catalog with its defaults: a new one is tested by being listed."""

MODELS: dict[str, ModelConfig] = {
    **LISTED,
    "pre_norm": TransformerConfig(encoder=EncoderConfig(**SIDE), decoder=DecoderConfig(**SIDE)),
    "post_norm": TransformerConfig(
        encoder=EncoderConfig(**POST), decoder=DecoderConfig(**POST), share_embeddings=ShareEmbeddings.all
    ),
    "learned_positions": TransformerConfig(
        encoder=EncoderConfig(**LEARNED),
        decoder=DecoderConfig(**LEARNED),
        normalize_embeddings=True,
        scale_embeddings=False,
        activation=Activation.gelu,
    ),
    "no_positions": TransformerConfig(encoder=EncoderConfig(**NONE), decoder=DecoderConfig(**NONE)),
    "sizes_differ": TransformerConfig(
        encoder=EncoderConfig(num_layers=1, hidden_size=12, ffn_size=20, num_heads=3),
        decoder=DecoderConfig(**SIDE, input_size=10, output_size=14),
        share_embeddings=ShareEmbeddings.none,
    ),
    "cross_self_attention": TransformerConfig(
        encoder=EncoderConfig(**POST),
        decoder=DecoderConfig(**POST, cross_self_attention=True, cross_attention=False),
    ),
    "normformer": TransformerConfig(
        encoder=EncoderConfig(**SIDE),
        decoder=DecoderConfig(
            **SIDE, scale_attention=True, scale_heads=True, scale_ffn=True, scale_residuals=True, final_norm=False
        ),
    ),
    "modern": TransformerConfig(
        encoder=EncoderConfig(**MODERN, positions=Positions.rotary),
        decoder=DecoderConfig(**MODERN, positions=Positions.alibi),
        activation=Activation.silu,
    ),
    "dropouts": TransformerConfig(
        encoder=EncoderConfig(**SIDE, layerdrop=0.5),
        decoder=DecoderConfig(**SIDE, layerdrop=0.5),
        attention_dropout=0.1,
        activation_dropout=0.1,
    ),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Seq2SeqModel:
    """In evaluation mode, in float64, so that nothing but a mistake makes a difference."""
    torch.manual_seed(1)
    sizes = {"source_vocabulary_size": NUM_WORDS, "target_vocabulary_size": NUM_WORDS, "padding_index": PAD}
    built: Seq2SeqModel = build(MODELS[request.param], **sizes)
    return built.double().eval()


@pytest.fixture
def batch() -> PairBatch:
    """Three pairs of different lengths, padded on the right."""
    sources, targets = sentences(7, 4, 6), sentences(5, 6, 2)
    return PairBatch(
        indices=torch.arange(3),
        num_targets=13,
        source_tokens=padded(sources),
        source_lengths=torch.tensor([7, 4, 6]),
        previous_tokens=padded([torch.cat([x[-1:], x[:-1]]) for x in targets]),
        target_tokens=padded(targets),
    )


def sentences(*lengths: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(len(lengths))
    words = [torch.randint(4, NUM_WORDS, (length - 1,), generator=generator) for length in lengths]
    return [torch.cat([sentence, torch.tensor([EOS])]) for sentence in words]


def padded(rows: list[Tensor], left: bool = False, width: int = 0) -> Tensor:
    width = max(width, *map(len, rows))
    missing = [torch.full((width - len(row),), PAD) for row in rows]
    return torch.stack([torch.cat([m, row] if left else [row, m]) for m, row in zip(missing, rows, strict=True)])


def repadded(tokens: Tensor, left: bool, width: int) -> Tensor:
    return padded([row[row != PAD] for row in tokens], left, width)


def previous_tokens(batch: PairBatch) -> Tensor:
    assert batch.previous_tokens is not None
    return batch.previous_tokens


def target_logits(model: Seq2SeqModel, batch: PairBatch) -> Tensor:
    """Scores at the targets, one after the other."""
    assert batch.target_tokens is not None
    return model(batch).logits[batch.target_tokens != PAD]


def encode(model: Seq2SeqModel, batch: PairBatch) -> Encoded:
    return model.encode(batch.source_tokens, batch.source_lengths)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-8)


@torch.no_grad()
@pytest.mark.parametrize("beams", [1, 3])
def test_cached_decoding_equals_the_full_forward(model: Seq2SeqModel, batch: PairBatch, beams: int) -> None:
    encoded = encode(model, batch)
    tokens = torch.randint(4, NUM_WORDS, (3 * beams, 40))  # longer than the first capacity of the caches
    full = model.decode(tokens, encoded).logits
    state = model.initial_state(encoded)
    steps = [model.decode(tokens[:, step : step + 1], encoded, state).logits for step in range(tokens.shape[1])]
    assert_same(torch.cat(steps, dim=1), full)


@torch.no_grad()
def test_several_tokens_at_once(model: Seq2SeqModel, batch: PairBatch) -> None:
    encoded = encode(model, batch)
    tokens = torch.randint(4, NUM_WORDS, (6, 8))
    state = model.initial_state(encoded)
    parts = [model.decode(part, encoded, state).logits for part in tokens.split([3, 1, 4], dim=1)]
    assert_same(torch.cat(parts, dim=1), model.decode(tokens, encoded).logits)


@torch.no_grad()
def test_beams_are_reordered(model: Seq2SeqModel, batch: PairBatch) -> None:
    encoded = encode(model, batch)
    tokens = torch.randint(4, NUM_WORDS, (3, 4))
    state = model.initial_state(encoded)
    for step in range(2):
        model.decode(tokens[:, step : step + 1], encoded, state)
    # One row a sentence becomes two; then the second sentence leaves and the others' beams change places.
    rows = torch.tensor([0, 0, 1, 1, 2, 2])
    state.reorder(rows)
    tokens = tokens[rows]
    tokens[:, 2:] = torch.randint(4, NUM_WORDS, (6, 2))
    model.decode(tokens[:, 2:3], encoded, state)
    rows, kept = torch.tensor([1, 1, 5, 4]), torch.tensor([0, 2])
    state.reorder(rows, kept)
    encoded, tokens = encoded.select(kept), tokens[rows]
    last = model.decode(tokens[:, 3:], encoded, state).logits
    assert_same(last[:, 0], model.decode(tokens, encoded).logits[:, -1])


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("side", ["source_tokens", "previous_tokens"])
def test_padding_changes_nothing(model: Seq2SeqModel, batch: PairBatch, side: str, left: bool) -> None:
    changed = replace(batch, **{side: repadded(getattr(batch, side), left, width=9)})
    if side == "previous_tokens":
        changed = replace(changed, target_tokens=repadded(changed.target_tokens, left, width=9))
    assert_same(target_logits(model, changed), target_logits(model, batch))


def test_batch_composition_changes_nothing(model: Seq2SeqModel, batch: PairBatch) -> None:
    together = model(batch).logits
    for number in range(3):
        source = batch.source_tokens[number][batch.source_tokens[number] != PAD][None]
        previous = previous_tokens(batch)[number][previous_tokens(batch)[number] != PAD][None]
        alone = model.decode(previous, model.encode(source, torch.tensor([source.shape[1]]))).logits
        assert_same(together[number : number + 1, : previous.shape[1]], alone)


def test_later_targets_change_nothing(model: Seq2SeqModel, batch: PairBatch) -> None:
    encoded = encode(model, batch)
    tokens = torch.randint(4, NUM_WORDS, (3, 6))
    other = tokens.clone()
    other[:, 4:] = torch.randint(4, NUM_WORDS, (3, 2))
    assert_same(model.decode(tokens, encoded).logits[:, :4], model.decode(other, encoded).logits[:, :4])


def test_the_source_matters(model: Seq2SeqModel, batch: PairBatch) -> None:
    other = replace(batch, source_tokens=batch.source_tokens.where(batch.source_tokens != 4, 5).flip(1))
    assert not torch.allclose(target_logits(model, other), target_logits(model, batch))


def test_dropout_only_in_training(model: Seq2SeqModel, batch: PairBatch) -> None:
    assert torch.equal(model(batch).logits, model(batch).logits)
    model.train()
    assert not torch.equal(model(batch).logits, model(batch).logits)


def test_gradient_reaches_every_parameter(model: Seq2SeqModel, batch: PairBatch) -> None:
    criterion = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)
    criterion(model, batch).sum.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_padding_gets_no_gradient(model: Seq2SeqModel, batch: PairBatch) -> None:
    """Left padding too, for which a row of the attention would be empty."""
    source, previous, target = (
        repadded(x, left=True, width=9)
        for x in (batch.source_tokens, previous_tokens(batch), batch.target_tokens)
        if x is not None
    )
    left = replace(batch, source_tokens=source, previous_tokens=previous, target_tokens=target)
    criterion = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)
    gradients = []
    for each in (batch, left):
        model.zero_grad()
        criterion(model, each).sum.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for right_gradient, left_gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(left_gradient, right_gradient, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_the_weights_of_a_block_are_used_in_its_forward_only(model: Seq2SeqModel, batch: PairBatch) -> None:
    """So a block can be recomputed, be compiled, or have its weights elsewhere: here they are nowhere outside."""
    blocks = model.train().blocks()
    parts = [id(part) for block in blocks for part in block.modules()]
    assert parts and len(parts) == len(set(parts))
    torch.manual_seed(1)
    expected = model(batch).logits
    kept = {parameter: parameter.clone() for block in blocks for parameter in block.parameters()}

    def bring(block: nn.Module, *rest: Any) -> None:
        for parameter in block.parameters():
            parameter.copy_(kept[parameter])

    def take_away(block: nn.Module, *rest: Any) -> None:
        for parameter in block.parameters():
            parameter.fill_(float("nan"))

    for block in blocks:
        take_away(block)
        block.register_forward_pre_hook(bring)
        block.register_forward_hook(take_away)
    torch.manual_seed(1)
    assert torch.equal(model(batch).logits, expected)


def test_weights_round_trip(model: Seq2SeqModel, batch: PairBatch) -> None:
    expected = target_logits(model, batch)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    model.load_state_dict(weights)
    assert_same(target_logits(model, batch), expected)
