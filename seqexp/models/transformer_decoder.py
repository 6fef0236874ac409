"""The decoder of a transformer.

Shapes: B sentences, R rows = B x beams, S source length, T target length, D width, V target vocabulary.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.models.base import Encoded
from seqexp.models.transformer_stack import InputEmbedding, Positions, StackConfig, StackOptions, layer_options
from seqexp.modules.adaptive import AdaptiveInput, AdaptiveSoftmax
from seqexp.modules.layers import DecoderLayer, LayerStack, LayerState
from seqexp.modules.norms import make_norm
from seqexp.modules.state import DecoderState, GrowingCache


@dataclass
class AdaptiveSoftmaxConfig:
    """Output words in bands of falling frequency (Grave et al. 2016, arXiv 1609.04309)."""

    cutoffs: list[int] = field(default_factory=list)
    """Where bands begin, as numbers of words, the most frequent first; empty: one softmax over all words."""
    factor: float = 4.0
    """By which the width of states falls from band to band."""
    dropout: float = 0.0
    """On the narrower states."""

    def __post_init__(self) -> None:
        require(self.factor >= 1, "factor", self.factor, "at least 1")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "it must be at least 0 and less than 1")


@dataclass
class CausalStackConfig(StackConfig):
    """Layers that see no later token."""

    input_size: int | None = None
    """Width of the target's token embeddings; null is `hidden_size`."""
    output_size: int | None = None
    """Width of the last states, before the output projection; null is `hidden_size`."""
    final_norm: bool = True
    """With `normalize_before`, a norm after the last layer."""
    adaptive_softmax: AdaptiveSoftmaxConfig = field(default_factory=AdaptiveSoftmaxConfig)
    scale_attention: bool = False
    """A LayerNorm on the output of self-attention. This and the next three: NormFormer (arXiv 2110.09456)."""
    scale_heads: bool = False
    """A learned factor for each head of self-attention."""
    scale_ffn: bool = False
    """A LayerNorm inside the feed-forward networks, before their second linear."""
    scale_residuals: bool = False
    """Learned factors on the residual of the feed-forward networks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("input_size", "output_size"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "it must be positive, or null for hidden_size")

    @property
    def embedding_size(self) -> int:
        return self.hidden_size if self.input_size is None else self.input_size

    @property
    def projected_size(self) -> int:
        return self.hidden_size if self.output_size is None else self.output_size

    def adaptive_output(
        self, vocabulary_size: int, tied: AdaptiveInput | None = None, tie_projections: bool = False
    ) -> AdaptiveSoftmax:
        """The output projection that `adaptive_softmax` describes."""
        return AdaptiveSoftmax(
            self.projected_size,
            vocabulary_size,
            cutoffs=self.adaptive_softmax.cutoffs,
            factor=self.adaptive_softmax.factor,
            dropout=self.adaptive_softmax.dropout,
            tied=tied,
            tie_projections=tie_projections,
        )


@dataclass
class DecoderConfig(CausalStackConfig):
    """The decoder."""

    cross_attention: bool = True
    """Each layer has a block that attends to the source."""
    cross_self_attention: bool = False
    """Self-attention attends to the source's states as well as to the target (usually with `cross_attention` off)."""
    alignment_layer: int | None = None
    """Layer whose attention to the source is that of a hypothesis, from 0; null is the last."""
    alignment_heads: int | None = None
    """Of that layer, the first heads, whose mean is taken; null is all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inside = self.positions in (Positions.rotary, Positions.alibi)
        right = "with cross_self_attention the distance to the source has no meaning; take sinusoidal or learned"
        require(not (self.cross_self_attention and inside), "positions", self.positions, right)
        value = self.alignment_layer
        right = f"it must be less than num_layers={self.num_layers}, or null for the last"
        require(value is None or 0 <= value < self.num_layers, "alignment_layer", value, right)
        value = self.alignment_heads
        right = f"it must be between 1 and num_heads={self.num_heads}, or null for all"
        require(value is None or 0 < value <= self.num_heads, "alignment_heads", value, right)


class TransformerState(DecoderState):
    """Keys and values of every layer."""

    def __init__(self, layers: list[LayerState]) -> None:
        self.layers = layers
        self.length = 0
        """Target tokens seen."""

    def reorder(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        for layer in self.layers:
            layer.reorder(rows, sentences)


class TransformerDecoder(nn.Module):
    """Embeddings, layers and output projection.

    Args:
        config: the stack's; that of a decoder, or of a language model, which has no source.
        options: those of the whole model.
        embedding: the target's token embeddings.
        max_positions: longest target.
        source_size: width of the encoder's states, to which a `DecoderConfig` may say that layers attend.
        output_projection: from the last states to V scores.
    """

    def __init__(
        self,
        config: CausalStackConfig,
        options: StackOptions,
        embedding: nn.Embedding | AdaptiveInput,
        max_positions: int,
        *,
        source_size: int | None = None,
        output_projection: nn.Linear | AdaptiveSoftmax,
    ) -> None:
        super().__init__()
        self.padding_index = options.padding_index
        self.cross_self_attention = isinstance(config, DecoderConfig) and config.cross_self_attention
        self.alignment_layer = config.alignment_layer if isinstance(config, DecoderConfig) else None
        self.alignment_heads = config.alignment_heads if isinstance(config, DecoderConfig) else None
        self.embedding = InputEmbedding(config, options, embedding, max_positions, "max_target_positions")
        layer_config = layer_options(
            config,
            options,
            scale_attention=config.scale_attention,
            scale_heads=config.scale_heads,
            scale_ffn=config.scale_ffn,
            scale_residuals=config.scale_residuals,
        )
        attends = isinstance(config, DecoderConfig) and config.cross_attention
        attended_size = source_size if attends else None
        layers = (DecoderLayer(layer_config, attended_size) for _ in range(config.num_layers))
        self.layers = LayerStack(layers, config.layerdrop)
        has_norm = config.normalize_before and config.final_norm
        self.norm = make_norm(config.norm, config.hidden_size) if has_norm else None
        self.projection: nn.Linear | None = None
        if config.projected_size != config.hidden_size:
            self.projection = nn.Linear(config.hidden_size, config.projected_size, bias=False)
            nn.init.xavier_uniform_(self.projection.weight)
        self.output_projection = output_projection

    def initial_state(self, encoded: Encoded | None = None) -> TransformerState:
        """The state before the first token, with the source's keys and values."""
        layers = (self._layer(number) for number in range(len(self.layers)))
        states = None if encoded is None else encoded.states
        return TransformerState([LayerState(GrowingCache(), layer.source_keys_values(states)) for layer in layers])

    def forward(self, tokens: Tensor, encoded: Encoded | None = None, state: TransformerState | None = None) -> Tensor:
        """States of which `output_projection` makes the scores of what follows each token, as `Seq2SeqModel.decode`:
        [R, T, D], or with another width where the config has an `output_size`.

        Tokens may be padded on either side when there is no state, and not when there is one.
        """
        past = 0 if state is None else state.length
        padding = self._left_padding(tokens) if state is None else None
        x = self.embedding(tokens, padding, past)
        mask, causal = self._self_attention_mask(tokens, encoded, past, padding)
        states, source_padding = (None, None) if encoded is None else (encoded.states, encoded.padding_mask)
        source_mask = None if source_padding is None else ~source_padding[:, None, None, :]
        # With a state, the memory's keys and values are in the cache after the first call.
        memory = None
        if self.cross_self_attention and past == 0:
            assert states is not None
            memory = _repeat(states, len(tokens))
        for number in self.layers.kept():
            layer, remembered = self._layer(number), None if state is None else state.layers[number]
            x = layer(
                x,
                remembered.source if remembered else states,
                mask=mask,
                causal=causal,
                source_mask=source_mask,
                memory=memory,
                cache=remembered.own if remembered else None,
            )
        if state is not None:
            state.length += tokens.shape[1]
        return self._last_states(x)

    def attention(self, tokens: Tensor, encoded: Encoded) -> Tensor | None:
        """As `Seq2SeqModel.attention`: the mean over the heads of one layer."""
        number = len(self.layers) - 1 if self.alignment_layer is None else self.alignment_layer
        cross_attention = self._layer(number).cross_attention if len(self.layers) > 0 else None
        if cross_attention is None:
            return None
        found: list[Tensor] = []
        # It sees what the block is called with, so that nothing of a usual pass is different for it.
        watch = cross_attention.register_forward_pre_hook(
            lambda _, arguments: found.append(cross_attention.weights(*arguments))
        )
        try:
            self(tokens, encoded)
        finally:
            watch.remove()
        return found[0][:, : self.alignment_heads].mean(dim=1)

    def _layer(self, number: int) -> DecoderLayer:
        layer = self.layers[number]
        assert isinstance(layer, DecoderLayer)
        return layer

    def _last_states(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            x = self.norm(x)
        return x if self.projection is None else self.projection(x)

    def _left_padding(self, tokens: Tensor) -> Tensor | None:
        """True at padding, [B, T], if some comes before tokens; what comes after them is hidden by causality."""
        if torch.compiler.is_exporting():  # a graph cannot look at values: it is given none before tokens
            return None
        starts_with_padding = tokens[:, 0].eq(self.padding_index)
        return tokens.eq(self.padding_index) if bool(starts_with_padding.any()) else None

    def _self_attention_mask(
        self, tokens: Tensor, encoded: Encoded | None, past: int, padding: Tensor | None
    ) -> tuple[Tensor | None, bool]:
        """The mask of self-attention, or None and whether the causal kernel does."""
        num_new = tokens.shape[1]
        if not self.cross_self_attention and padding is None and (past == 0 or num_new == 1):
            return None, past == 0
        mask = torch.ones(num_new, past + num_new, dtype=torch.bool, device=tokens.device).tril(past)[None, None]
        if padding is not None:
            # A padding query would have no key at all; it may see itself.
            itself = torch.eye(num_new, dtype=torch.bool, device=tokens.device)
            mask = mask & ~padding[:, None, None, :] | itself
        if self.cross_self_attention:
            assert encoded is not None
            mask = torch.cat([_source_part(encoded, len(tokens), num_new), mask.expand(len(tokens), -1, -1, -1)], dim=3)
        return mask, False


def _repeat(x: Tensor, num_rows: int) -> Tensor:
    """[B, ...] to [R, ...], each sentence's row for all of its beams."""
    return x if len(x) == num_rows else x.repeat_interleave(num_rows // len(x), dim=0)


def _source_part(encoded: Encoded, num_rows: int, num_queries: int) -> Tensor:
    """Which source states the queries may attend to, [R, 1, T, S]."""
    if encoded.padding_mask is None:
        size = encoded.states.shape[1]
        return torch.ones(num_rows, 1, num_queries, size, dtype=torch.bool, device=encoded.states.device)
    return _repeat(~encoded.padding_mask, num_rows)[:, None, None, :].expand(-1, -1, num_queries, -1)
