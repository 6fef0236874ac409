"""Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762).

Shapes: B sentences, R rows = B x beams, T queries, S keys, D model width, H heads, d = D / H.
Masks are bool, True where a query may attend, broadcastable to [B, H, T, S].
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.modules.norms import Norm, make_norm
from seqexp.modules.relative_positions import Relative, distance_bias, rotate
from seqexp.modules.state import GrowingCache


class KeysValues(NamedTuple):
    """What is attended to, split into heads."""

    keys: Tensor
    """[B, H, S, d]"""
    values: Tensor
    """[B, H, S, d]"""

    def select(self, rows: Tensor) -> "KeysValues":
        """The rows numbered in `rows` (int64), in that order."""
        return KeysValues(self.keys.index_select(0, rows), self.values.index_select(0, rows))


class SelfAttention(nn.Module):
    """Attention of a sequence to itself, and optionally to a memory before it.

    Args:
        hidden_size: D.
        num_heads: H, a divisor of D.
        dropout: on the attention weights.
        scale_heads: multiply each head's share of the output by a learned factor, 1 at first (NormFormer, Shleifer et
            al. 2021, arXiv 2110.09456; applied after the output projection, as fairseq does).
        num_key_value_heads: heads of keys and values, each for equally many of the queries (Ainslie et al. 2023, arXiv
            2305.13245); None is H.
        relative: how positions take part.
        key_norm: normalises each head of queries and keys (Henry et al. 2020, arXiv 2010.04245); None for none.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        dropout: float = 0.0,
        scale_heads: bool = False,
        num_key_value_heads: int | None = None,
        relative: Relative = Relative.none,
        key_norm: Norm | None = None,
    ) -> None:
        super().__init__()
        _require_heads(hidden_size, num_heads)
        self.num_heads = num_heads
        self.num_key_value_heads = num_heads if num_key_value_heads is None else num_key_value_heads
        self.dropout = dropout
        self.relative = relative
        head_size = hidden_size // num_heads
        key_size = self.num_key_value_heads * head_size
        # One matrix for queries, keys and values: one product instead of three, and one block to cache in decoding.
        self.projection = nn.Linear(hidden_size, hidden_size + 2 * key_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.head_scale = nn.Parameter(torch.ones(num_heads)) if scale_heads else None
        self.query_norm = None if key_norm is None else make_norm(key_norm, head_size)
        self.key_norm = None if key_norm is None else make_norm(key_norm, head_size)
        for block in torch.split(self.projection.weight, [hidden_size, key_size, key_size]):
            nn.init.xavier_uniform_(block, gain=1 / math.sqrt(2))
        _initialize_output(self.output)

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        memory: Tensor | None = None,
        cache: GrowingCache | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: [R, T, D].
            mask: which keys each query may attend to; None is all.
            causal: only keys at or before the query. Needs `mask=None` and as many keys as queries: it lets the kernel
                skip half of the work.
            memory: states to attend to besides, [R, S, D], before x in the order of keys.
            cache: keys and values of earlier positions; those of x are added.

        Returns:
            [R, T, D].
        """
        width = self.projection.out_features
        queries, keys_values = self.projection(x).split((x.shape[-1], width - x.shape[-1]), dim=-1)
        if memory is not None:
            keys_values = torch.cat([self.keys_values(memory), keys_values], dim=1)
        past = 0 if cache is None else cache.length
        queries = self._placed(_split_heads(queries, self.num_heads), self.query_norm, past)
        keys_values = _split_heads(keys_values, 2 * self.num_key_value_heads)
        if self.key_norm is not None or self.relative is Relative.rotary:
            keys, values = keys_values.chunk(2, dim=1)
            keys_values = torch.cat([self._placed(keys, self.key_norm, past), values], dim=1)
        if cache is not None:
            keys_values = cache.append(keys_values)
        keys, values = keys_values.chunk(2, dim=1)
        if self.relative is Relative.alibi:
            mask, causal = self._biased(mask, causal, queries, keys.shape[2]), False
        attended = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
            enable_gqa=self.num_key_value_heads != self.num_heads,
        )
        return self._scaled(self.output(_merge_heads(attended)))

    def keys_values(self, memory: Tensor) -> Tensor:
        """Keys and values of a memory [R, S, D], side by side, [R, S, 2D]."""
        size = memory.shape[-1]
        return F.linear(memory, self.projection.weight[size:], self.projection.bias[size:])

    def _placed(self, x: Tensor, norm: nn.Module | None, start: int) -> Tensor:
        """Queries or keys [R, heads, T, d], normalised and turned as the options say; `start`: the first's position."""
        x = x if norm is None else norm(x)
        return rotate(x, start) if self.relative is Relative.rotary else x

    def _biased(self, mask: Tensor | None, causal: bool, queries: Tensor, num_keys: int) -> Tensor:
        """What is added to scores, -inf where a query may not attend."""
        num_queries = queries.shape[2]
        bias = distance_bias(self.num_heads, num_queries, num_keys, queries)
        if causal:
            mask = torch.ones(num_queries, num_keys, dtype=torch.bool, device=queries.device).tril()
        return bias if mask is None else bias.masked_fill(~mask, float("-inf"))

    def _scaled(self, x: Tensor) -> Tensor:
        if self.head_scale is None:
            return x
        return (x.view(*x.shape[:2], self.num_heads, -1) * self.head_scale[:, None]).flatten(-2)


class CrossAttention(nn.Module):
    """Attention to the states of another sequence.

    The keys and values are made once per sentence by `keys_values`; the R rows of queries may be a multiple of the
    sentences, rows of a sentence adjacent.

    Args:
        hidden_size: D.
        num_heads: H, a divisor of D.
        key_size: width of the attended states; None is D.
        dropout: on the attention weights.
    """

    def __init__(self, hidden_size: int, num_heads: int, *, key_size: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        _require_heads(hidden_size, num_heads)
        key_size = hidden_size if key_size is None else key_size
        self.num_heads = num_heads
        self.dropout = dropout
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(key_size, 2 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        gain = 1 / math.sqrt(2) if key_size == hidden_size else 1.0
        for block in (self.query.weight, *self.key_value.weight.chunk(2)):
            nn.init.xavier_uniform_(block, gain=gain)
        _initialize_output(self.output)

    def keys_values(self, states: Tensor) -> KeysValues:
        """Keys and values of the states [B, S, key_size]."""
        keys, values = self.key_value(states).chunk(2, dim=-1)
        return KeysValues(_split_heads(keys, self.num_heads), _split_heads(values, self.num_heads))

    def forward(self, x: Tensor, source: KeysValues, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: [R, T, D].
            source: keys and values of B sentences.
            mask: which keys each sentence's queries may attend to, bool [B, 1, 1, S]; None is all.

        Returns:
            [R, T, D].
        """
        attended = F.scaled_dot_product_attention(
            self._queries(x, source),
            source.keys,
            source.values,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        output: Tensor = self.output(_merge_heads(attended).view(x.shape))
        return output

    def weights(self, x: Tensor, source: KeysValues, mask: Tensor | None = None) -> Tensor:
        """The attention weights of `forward`, without dropout, [R, H, T, S]."""
        scores = self._queries(x, source) @ source.keys.transpose(-1, -2) / math.sqrt(source.keys.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        beams = scores.softmax(dim=-1).view(len(source.keys), self.num_heads, -1, x.shape[1], scores.shape[-1])
        return beams.transpose(1, 2).flatten(0, 1)

    def _queries(self, x: Tensor, source: KeysValues) -> Tensor:
        """[B, H, beams x T, d]: the beams of a sentence are further queries to the same keys."""
        # shape[0], not len(): exported graphs take any number of sentences.
        queries = self.query(x).view(source.keys.shape[0], -1, x.shape[-1])
        return _split_heads(queries, self.num_heads)


def _require_heads(hidden_size: int, num_heads: int) -> None:
    right = f"it must divide hidden_size={hidden_size}"
    require(num_heads > 0 and hidden_size % num_heads == 0, "num_heads", num_heads, right)


def _initialize_output(output: nn.Linear) -> None:
    nn.init.xavier_uniform_(output.weight)
    nn.init.zeros_(output.bias)


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    """[B, T, D] to [B, H, T, d], a view."""
    return x.view(*x.shape[:2], num_heads, -1).transpose(1, 2)


def _merge_heads(x: Tensor) -> Tensor:
    """[B, H, T, d] to [B, T, D]."""
    return x.transpose(1, 2).flatten(-2)
