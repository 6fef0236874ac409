"""Vocabularies in bands of falling frequency: rare words get narrower embeddings, and scores of their own softmax.

The softmax is that of Grave et al. 2016 (arXiv 1609.04309), the input that of Baevski and Auli 2018 (arXiv 1809.10853).
Band 0 holds the words below the first cutoff, band i those from cutoff i to the next one; the last ends with the
vocabulary. Shapes: N positions, D width, V vocabulary, k bands besides the first.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.config.base import require


def band_edges(cutoffs: Sequence[int], vocabulary_size: int, option: str) -> list[int]:
    """Where bands begin and the last ends, [0, cutoffs ..., V].

    Raises:
        OptionError: the cutoffs do not ascend, or do not lie in the vocabulary.
    """
    edges = [0, *cutoffs, *([vocabulary_size] if not cutoffs or cutoffs[-1] != vocabulary_size else [])]
    ascending = all(lower < upper for lower, upper in pairwise(edges))
    require(ascending, option, list(cutoffs), f"ascending numbers between 0 and the vocabulary's {vocabulary_size}")
    return edges


class AdaptiveInput(nn.Module):
    """Embeddings whose width falls from band to band, each projected to D.

    Args:
        vocabulary_size: V.
        size: width of the first band; band i has size // factor ** i.
        embedding_dim: D.
        cutoffs: where bands 1, 2, ... begin.
        factor: by which widths fall.
        padding_index: a word of the first band whose embedding is and stays 0.
    """

    def __init__(
        self,
        vocabulary_size: int,
        size: int,
        embedding_dim: int,
        *,
        cutoffs: Sequence[int],
        factor: float,
        padding_index: int,
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.edges = band_edges(cutoffs, vocabulary_size, "adaptive_input.cutoffs")
        self.embeddings, self.projections = nn.ModuleList(), nn.ModuleList()
        for band, (first, end) in enumerate(pairwise(self.edges)):
            width = _width(size, factor, band, "adaptive_input.factor")
            embedding = nn.Embedding(end - first, width, padding_index if band == 0 else None)
            nn.init.normal_(embedding.weight, std=width**-0.5)
            projection = nn.Linear(width, embedding_dim, bias=False)
            nn.init.xavier_uniform_(projection.weight)
            self.embeddings.append(embedding)
            self.projections.append(projection)
        nn.init.zeros_(self.band(0)[0].weight[padding_index])

    def band(self, number: int) -> tuple[nn.Embedding, nn.Linear]:
        """Embeddings of a band, and what makes D of their width."""
        embedding, projection = self.embeddings[number], self.projections[number]
        assert isinstance(embedding, nn.Embedding)
        assert isinstance(projection, nn.Linear)
        return embedding, projection

    def forward(self, tokens: Tensor) -> Tensor:
        """int64 [...] to [..., D]."""
        flat = tokens.flatten()
        parts = []
        for band, (first, end) in enumerate(pairwise(self.edges)):
            embedding, projection = self.band(band)
            rows = ((flat >= first) & (flat < end)).nonzero().squeeze(1)
            parts.append((rows, projection(embedding(flat[rows] - first))))
        embedded: Tensor = parts[0][1].new_zeros(len(flat), self.embedding_dim)
        for rows, part in parts:
            embedded = embedded.index_copy(0, rows, part)
        return embedded.view(*tokens.shape, -1)


class AdaptiveSoftmax(nn.Module):
    """Scores the words of the first band and the other bands as wholes, and within each of those its words.

    Args:
        input_size: D.
        vocabulary_size: V.
        cutoffs: where bands 1, 2, ... begin.
        factor: states are projected to D // factor ** i for band i.
        dropout: on those projections.
        tied: input embeddings of the same bands whose tables are the output's too; they have D in band 0.
        tie_projections: with `tied`, their projections are used too, transposed.
    """

    def __init__(
        self,
        input_size: int,
        vocabulary_size: int,
        *,
        cutoffs: Sequence[int],
        factor: float,
        dropout: float = 0.0,
        tied: AdaptiveInput | None = None,
        tie_projections: bool = False,
    ) -> None:
        super().__init__()
        self.edges = band_edges(cutoffs, vocabulary_size, "adaptive_softmax.cutoffs")
        num_tails = len(self.edges) - 2
        self.words = nn.Linear(input_size, self.edges[1], bias=False)
        self.bands = nn.Linear(input_size, num_tails, bias=False)
        # Without ties both are one matrix to begin with.
        num_outputs = num_tails if tied is not None else self.edges[1] + num_tails
        bound = math.sqrt(6 / (input_size + num_outputs))
        nn.init.uniform_(self.words.weight, -bound, bound)
        nn.init.uniform_(self.bands.weight, -bound, bound)
        if tied is not None:
            self.words.weight = tied.band(0)[0].weight
        self.tails = nn.ModuleList()
        for band in range(1, num_tails + 1):
            width = _width(input_size, factor, band, "adaptive_softmax.factor")
            num_words = self.edges[band + 1] - self.edges[band]
            self.tails.append(
                _Tail(input_size, width, num_words, dropout, None if tied is None else tied.band(band), tie_projections)
            )

    def forward(self, states: Tensor) -> Tensor:
        """Log-probabilities [..., V] of all words, at least float32, from states [..., D]."""
        head = self._head(states)
        parts = [head[..., : self.edges[1]]]
        for band, tail in enumerate(self.tails):
            parts.append(_log_softmax(tail(states)) + head[..., self.edges[1] + band].unsqueeze(-1))
        return torch.cat(parts, dim=-1)

    def nll(self, states: Tensor, targets: Tensor) -> Tensor:
        """-ln p of the targets, int64 [N], given states [N, D]: at least float32 [N].

        The words of a band are scored only where the target is one of them.
        """
        first = self.edges[1]
        bands = torch.bucketize(targets, torch.tensor(self.edges[1:-1], device=targets.device), right=True)
        in_head = targets.where(bands == 0, first + bands - 1)
        nll = self._head(states).gather(1, in_head[:, None]).squeeze(1).neg()
        for band, tail in enumerate(self.tails, start=1):
            # None may be: then all of the tail's gradient is 0, which processes that train together rely on.
            rows = (bands == band).nonzero().squeeze(1)
            own = (targets[rows] - self.edges[band])[:, None]
            nll = nll.index_add(0, rows, _log_softmax(tail(states[rows])).gather(1, own).squeeze(1), alpha=-1)
        return nll

    def _head(self, states: Tensor) -> Tensor:
        """Log-probabilities of the words of the first band and of the other bands."""
        return _log_softmax(torch.cat([self.words(states), self.bands(states)], dim=-1))


class _Tail(nn.Module):
    """Scores of the words of one band."""

    def __init__(
        self,
        input_size: int,
        width: int,
        num_words: int,
        dropout: float,
        tied: tuple[nn.Embedding, nn.Linear] | None,
        tie_projection: bool,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.is_transposed = tied is not None and tie_projection
        self.words = nn.Linear(width, num_words, bias=False)
        if tied is None:
            nn.init.xavier_uniform_(self.words.weight)
        else:
            self.words.weight = tied[0].weight
        if tied is not None and tie_projection:
            self.projection = tied[1]
        else:
            self.projection = nn.Linear(input_size, width, bias=False)
            nn.init.xavier_uniform_(self.projection.weight)

    def forward(self, states: Tensor) -> Tensor:
        weight = self.projection.weight
        x = F.linear(states, weight.t() if self.is_transposed else weight)
        scores: Tensor = self.words(F.dropout(x, self.dropout, self.training))
        return scores


def _width(size: int, factor: float, band: int, option: str) -> int:
    width = int(size // factor**band)
    require(width > 0, option, factor, f"it leaves band {band} no width of {size}")
    return width


def _log_softmax(scores: Tensor) -> Tensor:
    return scores.log_softmax(dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
