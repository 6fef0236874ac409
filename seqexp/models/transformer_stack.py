"""What the encoder and the decoder of a transformer have in common.

Shapes: B sentences, T length, D width.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.models.base import ModelConfig
from seqexp.modules.activations import Activation
from seqexp.modules.adaptive import AdaptiveInput
from seqexp.modules.layers import LayerOptions
from seqexp.modules.norms import Norm, make_norm
from seqexp.modules.positions import LearnedPositions, PositionEmbedding, SinusoidalPositions
from seqexp.modules.relative_positions import Relative


class Positions(StrEnum):
    none = "none"
    sinusoidal = "sinusoidal"
    learned = "learned"
    rotary = "rotary"
    """Inside of self-attention: queries and keys turned by their positions (arXiv 2104.09864)."""
    alibi = "alibi"
    """Inside of self-attention: scores that fall with the distance (arXiv 2108.12409)."""


@dataclass
class StackConfig:
    """Layers of one side."""

    num_layers: int = 2
    """Layers of the stack."""
    hidden_size: int = 128
    """Width of the layers' inputs and outputs."""
    ffn_size: int = 512
    """Width inside the feed-forward networks."""
    num_heads: int = 4
    """Attention heads; they share out `hidden_size`."""
    normalize_before: bool = True
    """A norm before each sub-block and one after the last layer, instead of after each sum with the residual."""
    positions: Positions = Positions.sinusoidal
    """Position embeddings."""
    norm: Norm = Norm.layer
    """What normalises states."""
    gated_ffn: bool = False
    """Multiply the activations of the feed-forward networks by a second projection; SwiGLU with `activation=silu`."""
    num_key_value_heads: int | None = None
    """Heads of keys and values of self-attention, a divisor of `num_heads`, each for several heads of queries; null:
    `num_heads`. Fewer need less memory in generation."""
    normalize_keys: bool = False
    """Normalise queries and keys of self-attention, head by head."""
    layerdrop: float = 0.0
    """Probability to leave out a layer in training."""

    def __post_init__(self) -> None:
        for name in ("hidden_size", "ffn_size", "num_heads"):
            require(getattr(self, name) > 0, name, getattr(self, name), "it must be positive")
        require(self.num_layers >= 0, "num_layers", self.num_layers, "it must not be negative")
        require(0 <= self.layerdrop < 1, "layerdrop", self.layerdrop, "it must be at least 0 and less than 1")
        right = f"it must divide hidden_size={self.hidden_size}"
        require(self.hidden_size % self.num_heads == 0, "num_heads", self.num_heads, right)
        shared = self.num_key_value_heads
        right = f"it must divide num_heads={self.num_heads}"
        divides = shared is None or (shared > 0 and self.num_heads % shared == 0)
        require(divides, "num_key_value_heads", shared, right)
        even = self.positions is not Positions.rotary or self.hidden_size // self.num_heads % 2 == 0
        require(even, "positions", self.positions, "hidden_size / num_heads must be even")


@dataclass
class TransformerOptions(ModelConfig):
    """Options of every transformer, for all of its stacks."""

    activation: Activation = Activation.relu
    """Of the feed-forward networks."""
    dropout: float = 0.1
    """On embeddings and on the output of every sub-block, before it is added to the residual."""
    attention_dropout: float = 0.0
    """On attention weights. More than 0 takes a slower attention kernel."""
    activation_dropout: float = 0.0
    """After the activation of the feed-forward networks."""
    scale_embeddings: bool = True
    """Multiply token embeddings by the square root of the stack's width."""
    normalize_embeddings: bool = False
    """A norm on the sum of token and position embeddings."""

    def __post_init__(self) -> None:
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, name, value, "it must be at least 0 and less than 1")

    def stack_options(self, padding_index: int) -> "StackOptions":
        """What each stack is told of them."""
        return StackOptions(
            padding_index=padding_index,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            activation_dropout=self.activation_dropout,
            activation=self.activation,
            scale_embeddings=self.scale_embeddings,
            normalize_embeddings=self.normalize_embeddings,
        )


@dataclass(frozen=True)
class StackOptions:
    """The options of the whole model that each side needs; their meaning is that of the model's config."""

    padding_index: int
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    activation: Activation = Activation.relu
    scale_embeddings: bool = True
    normalize_embeddings: bool = False


_RELATIVE = {Positions.rotary: Relative.rotary, Positions.alibi: Relative.alibi}
"""Positions that are no part of the embeddings."""


def layer_options(
    config: StackConfig,
    options: StackOptions,
    *,
    scale_attention: bool = False,
    scale_heads: bool = False,
    scale_ffn: bool = False,
    scale_residuals: bool = False,
) -> LayerOptions:
    """What the layers of that side need."""
    return LayerOptions(
        hidden_size=config.hidden_size,
        ffn_size=config.ffn_size,
        num_heads=config.num_heads,
        normalize_before=config.normalize_before,
        dropout=options.dropout,
        attention_dropout=options.attention_dropout,
        activation_dropout=options.activation_dropout,
        activation=options.activation,
        norm=config.norm,
        gated_ffn=config.gated_ffn,
        num_key_value_heads=config.num_key_value_heads,
        normalize_keys=config.normalize_keys,
        relative=_RELATIVE.get(config.positions, Relative.none),
        scale_attention=scale_attention,
        scale_heads=scale_heads,
        scale_ffn=scale_ffn,
        scale_residuals=scale_residuals,
    )


class InputEmbedding(nn.Module):
    """Tokens to the first layer's input: scaled embedding, projection, position, LayerNorm, dropout.

    Args:
        config: of that side.
        options: of the model.
        tokens: the table of token embeddings; a width other than the stack's is projected to it.
        max_positions: longest sequence.
        option: name of the option that sets it.
    """

    def __init__(
        self,
        config: StackConfig,
        options: StackOptions,
        tokens: nn.Embedding | AdaptiveInput,
        max_positions: int,
        option: str,
    ) -> None:
        super().__init__()
        size = config.hidden_size
        self.dropout = options.dropout
        self.scale = math.sqrt(size) if options.scale_embeddings else 1.0
        self.tokens = tokens
        self.projection: nn.Linear | None = None
        if tokens.embedding_dim != size:
            self.projection = nn.Linear(tokens.embedding_dim, size, bias=False)
            nn.init.xavier_uniform_(self.projection.weight)
        self.positions: PositionEmbedding | None = None
        if config.positions == Positions.learned:
            self.positions = LearnedPositions(max_positions, size, option)
        elif config.positions == Positions.sinusoidal:
            self.positions = SinusoidalPositions(max_positions, size, option)
        self.norm = make_norm(config.norm, size) if options.normalize_embeddings else None

    def forward(self, tokens: Tensor, padding_mask: Tensor | None = None, start: int = 0) -> Tensor:
        """[B, T] to [B, T, D]; the other arguments are those of `PositionEmbedding`."""
        x: Tensor = self.tokens(tokens) * self.scale
        if self.projection is not None:
            x = self.projection(x)
        if self.positions is not None:
            x = x + self.positions(tokens.shape[1], padding_mask, start)
        if self.norm is not None:
            x = self.norm(x)
        return F.dropout(x, self.dropout, self.training)
