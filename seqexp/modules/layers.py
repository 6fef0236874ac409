"""Layers of transformer encoders and decoders.

Shapes: B sentences, R rows = B x beams, T target length, S source length, D model width.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.modules.activations import Activation
from seqexp.modules.attention import CrossAttention, KeysValues, SelfAttention
from seqexp.modules.feed_forward import FeedForward
from seqexp.modules.norms import Norm, make_norm
from seqexp.modules.relative_positions import Relative
from seqexp.modules.state import GrowingCache


@dataclass(frozen=True)
class LayerOptions:
    """What the layers of one stack have in common; the options' meaning is that of the model's config."""

    hidden_size: int
    ffn_size: int
    num_heads: int
    normalize_before: bool = False
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    activation: Activation = Activation.relu
    scale_attention: bool = False
    scale_heads: bool = False
    scale_ffn: bool = False
    scale_residuals: bool = False
    norm: Norm = Norm.layer
    gated_ffn: bool = False
    num_key_value_heads: int | None = None
    normalize_keys: bool = False
    relative: Relative = Relative.none


@dataclass
class LayerState:
    """What one decoder layer remembers."""

    own: GrowingCache
    """Keys and values of the target so far, one row a hypothesis."""
    source: KeysValues | None
    """Keys and values of the source, one row a sentence."""

    def reorder(self, rows: Tensor, sentences: Tensor | None) -> None:
        """As `DecoderState.reorder`."""
        self.own.reorder(rows)
        if self.source is not None and sentences is not None:
            self.source = self.source.select(sentences)


class _Layer(nn.Module):
    """Sub-blocks with residual connections, normalised after the sum (default) or before the block.

    After: x = norm(x + dropout(f(x))). Before: x = x + dropout(f(norm(x))).
    """

    def __init__(self, options: LayerOptions) -> None:
        super().__init__()
        size = options.hidden_size
        self.normalize_before = options.normalize_before
        self.dropout = options.dropout
        self.self_attention = SelfAttention(
            size,
            options.num_heads,
            dropout=options.attention_dropout,
            scale_heads=options.scale_heads,
            num_key_value_heads=options.num_key_value_heads,
            relative=options.relative,
            key_norm=options.norm if options.normalize_keys else None,
        )
        self.self_attention_norm = make_norm(options.norm, size)
        self.feed_forward = FeedForward(
            size,
            options.ffn_size,
            activation=options.activation,
            activation_dropout=options.activation_dropout,
            gated=options.gated_ffn,
            normalize_inner=options.scale_ffn,
        )
        self.feed_forward_norm = make_norm(options.norm, size)
        self.residual_scale = nn.Parameter(torch.ones(size)) if options.scale_residuals else None

    def _before(self, x: Tensor, norm: nn.Module) -> Tensor:
        normalized: Tensor = norm(x) if self.normalize_before else x
        return normalized

    def _after(self, residual: Tensor, x: Tensor, norm: nn.Module) -> Tensor:
        x = residual + F.dropout(x, self.dropout, self.training)
        normalized: Tensor = x if self.normalize_before else norm(x)
        return normalized

    def _feed_forward_block(self, x: Tensor) -> Tensor:
        residual = x if self.residual_scale is None else x * self.residual_scale
        x = self.feed_forward(self._before(x, self.feed_forward_norm))
        return self._after(residual, x, self.feed_forward_norm)


class EncoderLayer(_Layer):
    """Self-attention and feed-forward."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """[B, S, D] to the same; `mask` is True at keys that are not padding, bool [B, 1, 1, S]."""
        attended = self.self_attention(self._before(x, self.self_attention_norm), mask=mask)
        x = self._after(x, attended, self.self_attention_norm)
        return self._feed_forward_block(x)


class DecoderLayer(_Layer):
    """Self-attention, attention to the source, feed-forward.

    Args:
        options: of the stack.
        source_size: width of the encoder's states; None for a layer that does not attend to a source.
    """

    def __init__(self, options: LayerOptions, source_size: int | None) -> None:
        super().__init__(options)
        size = options.hidden_size
        self.attention_norm = nn.LayerNorm(size) if options.scale_attention else None
        self.cross_attention: CrossAttention | None = None
        if source_size is not None:
            self.cross_attention = CrossAttention(
                size, options.num_heads, key_size=source_size, dropout=options.attention_dropout
            )
            self.cross_attention_norm = make_norm(options.norm, size)

    def source_keys_values(self, states: Tensor | None) -> KeysValues | None:
        """What `forward` attends to in the encoder's states [B, S, source_size]; None without cross-attention."""
        if self.cross_attention is None:
            return None
        assert states is not None
        return self.cross_attention.keys_values(states)

    def forward(
        self,
        x: Tensor,
        source: KeysValues | Tensor | None,
        *,
        mask: Tensor | None,
        causal: bool,
        source_mask: Tensor | None = None,
        memory: Tensor | None = None,
        cache: GrowingCache | None = None,
    ) -> Tensor:
        """[R, T, D] to the same.

        `mask`, `causal`, `memory` and `cache` are those of `SelfAttention`, `source` and `source_mask` those of
        `CrossAttention`; `source` may also be the encoder's states, of which the keys and values are then made here.
        """
        if isinstance(source, Tensor):
            source = self.source_keys_values(source)
        attended = self.self_attention(
            self._before(x, self.self_attention_norm), mask=mask, causal=causal, memory=memory, cache=cache
        )
        if self.attention_norm is not None:
            attended = self.attention_norm(attended)
        x = self._after(x, attended, self.self_attention_norm)
        if self.cross_attention is not None:
            assert source is not None
            attended = self.cross_attention(self._before(x, self.cross_attention_norm), source, source_mask)
            x = self._after(x, attended, self.cross_attention_norm)
        return self._feed_forward_block(x)


class LayerStack(nn.ModuleList):
    """Layers in order, of which training leaves out each with probability `layerdrop`.

    LayerDrop: Fan et al. 2019 (arXiv 1909.11556). One draw a layer and forward pass; evaluation uses all layers.
    """

    def __init__(self, layers: Iterable[nn.Module], layerdrop: float = 0.0) -> None:
        super().__init__(layers)
        self.layerdrop = layerdrop

    def kept(self) -> list[int]:
        """Numbers of the layers to apply in this forward pass."""
        if not self.training or self.layerdrop == 0:
            return list(range(len(self)))
        draws = torch.rand(len(self))  # on the CPU: to branch on them waits for no device
        return [number for number, draw in enumerate(draws.tolist()) if draw > self.layerdrop]
