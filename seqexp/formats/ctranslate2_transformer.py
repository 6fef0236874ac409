"""A transformer as CTranslate2's `TransformerSpec`.

CTranslate2 has one fixed network with switches; `refuse_inexpressible` says which of ours it cannot be switched to.
"""

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.models.base import Model
from seqexp.models.transformer import Transformer
from seqexp.models.transformer_stack import InputEmbedding, Positions, StackConfig
from seqexp.modules.activations import Activation
from seqexp.modules.attention import CrossAttention, SelfAttention
from seqexp.modules.layers import DecoderLayer, EncoderLayer
from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra

EXTRA = "ctranslate2"

ACTIVATIONS = {
    Activation.relu: "RELU",
    Activation.gelu: "GELU",
    Activation.gelu_tanh: "GELUTanh",
    Activation.silu: "SWISH",
    Activation.tanh: "Tanh",
}

POSITIONS = (Positions.none, Positions.sinusoidal, Positions.learned)
"""Those that are added to embeddings: as a table, they are CTranslate2's too."""

_EXPRESSED = {
    *("num_layers", "hidden_size", "ffn_size", "num_heads", "normalize_before", "positions", "layerdrop"),
    *("input_size", "output_size", "final_norm"),
}
"""Options of a stack that may have most values; others must be as they are by default."""


def transformer_spec(model: Model) -> Any:
    """The `ctranslate2.specs.TransformerSpec` with the weights of `model`, in float32; vocabularies are not set.

    Raises:
        UserError: ctranslate2 is not installed, or cannot express the model.
    """
    specs = import_extra("ctranslate2.specs", EXTRA)
    if not isinstance(model, Transformer):
        raise UserError(f"model={type(model).__name__} cannot be expressed in CTranslate2: only a transformer can")
    refuse_inexpressible(model)
    config = model.config
    activation = getattr(specs.Activation, ACTIVATIONS[config.activation])
    encoder = specs.TransformerEncoderSpec(
        config.encoder.num_layers,
        config.encoder.num_heads,
        pre_norm=config.encoder.normalize_before,
        activation=activation,
        layernorm_embedding=config.normalize_embeddings,
    )
    decoder = specs.TransformerDecoderSpec(
        config.decoder.num_layers,
        config.decoder.num_heads,
        pre_norm=config.decoder.normalize_before,
        no_final_norm=not config.decoder.final_norm,
        activation=activation,
        layernorm_embedding=config.normalize_embeddings,
    )
    with torch.no_grad():
        _set_embedding(encoder, encoder.embeddings[0], model.encoder.embedding, config.max_source_positions)
        _set_embedding(decoder, decoder.embeddings, model.decoder.embedding, config.max_target_positions)
        for layer_spec, layer in zip(encoder.layer, model.encoder.layers, strict=True):
            assert isinstance(layer, EncoderLayer)
            _set_layer(layer_spec, layer)
        for layer_spec, layer in zip(decoder.layer, model.decoder.layers, strict=True):
            assert isinstance(layer, DecoderLayer)
            assert layer.cross_attention is not None
            _set_layer(layer_spec, layer)
            _set_attention(layer_spec.attention, layer.cross_attention, layer.cross_attention_norm)
        for side_spec, norm in ((encoder, model.encoder.norm), (decoder, model.decoder.norm)):
            if norm is not None:
                _set_norm(side_spec.layer_norm, norm)
        assert isinstance(model.decoder.output_projection, nn.Linear)
        output = model.decoder.output_projection.weight
        projection = model.decoder.projection
        decoder.projection.weight = _array(output if projection is None else output @ projection.weight)
    return specs.TransformerSpec(encoder, decoder)


def refuse_inexpressible(model: Transformer) -> None:
    """
    Raises:
        OptionError: names the option of the model that CTranslate2 has nothing for.
    """
    config = model.config
    known = ", ".join(ACTIVATIONS)
    require(config.activation in ACTIVATIONS, "model.activation", config.activation, f"CTranslate2 knows {known}")
    for side in ("encoder", "decoder"):
        stack: StackConfig = getattr(config, side)
        right = "CTranslate2 needs at least one layer"
        require(stack.num_layers > 0, f"model.{side}.num_layers", stack.num_layers, right)
        known = ", ".join(POSITIONS)
        right = f"CTranslate2 can express {known}"
        require(stack.positions in POSITIONS, f"model.{side}.positions", stack.positions, right)
        usual = type(stack)()
        for option in fields(stack):
            given, default = getattr(stack, option.name), getattr(usual, option.name)
            right = f"CTranslate2 can only express {default}"
            expressed = option.name in _EXPRESSED or given == default
            require(expressed, f"model.{side}.{option.name}", given, right)


def _set_embedding(side: Any, tokens: Any, embedding: InputEmbedding, max_positions: int) -> None:
    """Token embeddings with their projection, if any, folded in, and the table of positions: zeros where there is none,
    since CTranslate2 would compute sinusoids of its own."""
    assert isinstance(embedding.tokens, nn.Embedding)
    table = embedding.tokens.weight
    tokens.weight = _array(table if embedding.projection is None else table @ embedding.projection.weight.T)
    side.scale_embeddings = float(embedding.scale)
    positions = table.new_zeros(max_positions, tokens.weight.shape[1])
    side.position_encodings.encodings = _array(positions if embedding.positions is None else embedding.positions.table)
    if embedding.norm is not None:
        _set_norm(side.layernorm_embedding, embedding.norm)


def _set_layer(spec: Any, layer: EncoderLayer | DecoderLayer) -> None:
    _set_attention(spec.self_attention, layer.self_attention, layer.self_attention_norm)
    _set_norm(spec.ffn.layer_norm, layer.feed_forward_norm)
    _set_linear(spec.ffn.linear_0, layer.feed_forward.inner)
    _set_linear(spec.ffn.linear_1, layer.feed_forward.outer)


def _set_attention(spec: Any, attention: SelfAttention | CrossAttention, norm: nn.Module) -> None:
    """Self-attention has one matrix for queries, keys and values there too; attention to the source has two."""
    if isinstance(attention, SelfAttention):
        linears = [attention.projection, attention.output]
    else:
        linears = [attention.query, attention.key_value, attention.output]
    for linear_spec, linear in zip(spec.linear, linears, strict=True):
        _set_linear(linear_spec, linear)
    _set_norm(spec.layer_norm, norm)


def _set_linear(spec: Any, linear: nn.Linear) -> None:
    spec.weight = _array(linear.weight)
    spec.bias = _array(linear.bias)


def _set_norm(spec: Any, norm: nn.Module) -> None:
    assert isinstance(norm, nn.LayerNorm)
    spec.gamma = _array(norm.weight)
    spec.beta = _array(norm.bias)


def _array(tensor: Tensor) -> Any:
    # A copy: CTranslate2 quantises in place.
    return tensor.detach().float().cpu().numpy().copy()
