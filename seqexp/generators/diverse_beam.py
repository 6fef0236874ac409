"""Diverse beam search (Vijayakumar et al. 2016, arXiv 1610.02424).

Shapes: B sentences still in the batch, k beams in G groups, C candidates of a group, V vocabulary.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch
from seqexp.generators.beam import BeamSearch, BeamSearchConfig, Candidates
from seqexp.generators.search import SearchState, Step


@dataclass
class DiverseBeamConfig(BeamSearchConfig):
    """Beams in groups, of which each avoids, step by step, the words that those before it have just chosen."""

    _target_: str = "seqexp.generators.diverse_beam.DiverseBeam"
    num_groups: int = 5
    """Groups that the beams are divided into equally; 1 is beam search."""
    diversity_strength: float = 0.5
    """Subtracted from the log-probability of a word, and thereby from the score, each time that an earlier group has
    chosen it in the same step."""
    diversity_discount: float = 1.0
    """More is subtracted for the choices of a group that has chosen like this one in earlier steps; what was long ago
    counts by this factor less each step. 0: all groups alike."""
    candidate_multiple: int = 2
    """Continuations looked at for each beam. With 2 no group loses a beam to a hypothesis that ends; 1 is fairseq's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        divides = self.num_groups > 0 and self.beam_size % self.num_groups == 0
        require(divides, "num_groups", self.num_groups, f"it must divide beam_size={self.beam_size}")
        require(self.candidate_multiple in (1, 2), "candidate_multiple", self.candidate_multiple, "give 1 or 2")
        for name in ("diversity_strength", "diversity_discount"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "it must not be negative")


class Overlaps(SearchState):
    """How much any two groups have chosen alike so far, [B, G, G]."""

    def __init__(self, overlaps: Tensor) -> None:
        self.overlaps = overlaps

    def add(self, chosen: Tensor, discount: float) -> None:
        """The words [B, k / G, G] of one more step."""
        alike = chosen[:, :, :, None].eq(chosen[:, :, None, :]).sum(dim=1)
        self.overlaps = discount * (self.overlaps + alike)

    def reorder(self, rows: Tensor, sentences: Tensor | None, tokens: Tensor) -> None:
        if sentences is not None:
            self.overlaps = self.overlaps[sentences]


class DiverseBeam(BeamSearch):
    """Beam j belongs to group j % G."""

    def __init__(self, config: DiverseBeamConfig, **words: Any) -> None:
        super().__init__(config, **words)
        self.diversity = config

    def num_beams(self, num_words: int) -> int:
        num_groups = self.diversity.num_groups
        return num_groups * min(self.config.beam_size // num_groups, num_words - 1)

    def begin(self, batch: PairBatch) -> SearchState:
        num_groups = self.diversity.num_groups
        return Overlaps(torch.zeros(batch.num_sentences, num_groups, num_groups, device=batch.source_tokens.device))

    def candidates(self, step: Step, num_beams: int) -> Candidates:
        """Those of beam search, one group after the other."""
        num_groups = self.diversity.num_groups
        size = num_beams // num_groups
        assert isinstance(step.state, Overlaps)
        weights = 1 + step.state.overlaps
        log_probs = step.log_probs.view(*step.scores.shape, -1)
        penalties = log_probs.new_zeros(len(log_probs), log_probs.shape[2])
        groups: list[Candidates] = []
        chosen: list[Tensor] = []
        for group in range(num_groups):  # each avoids what those before it have chosen to go on with
            # In the first step there is one prefix, which all groups begin with.
            mine = slice(group, None, num_groups) if step.number > 0 else slice(None)
            allowed = log_probs[:, mine]
            if group > 0:
                penalties.zero_()
                for other, words in enumerate(chosen):
                    penalties.scatter_add_(1, words, weights[:, group, other, None].expand(words.shape))
                allowed = allowed - self.diversity.diversity_strength * penalties[:, None]
            found = super().candidates(replace(step, log_probs=allowed, scores=step.scores[:, mine]), size)
            if step.number > 0:
                found.beams.mul_(num_groups).add_(group)
            looked_at = slice(self.diversity.candidate_multiple * size)
            found = Candidates(found.scores[:, looked_at], found.tokens[:, looked_at], found.beams[:, looked_at])
            groups.append(found)
            chosen.append(_chosen(found, found.ends(self.eos), size))
        step.state.add(torch.stack(chosen, dim=2), self.diversity.diversity_discount)
        return _interleaved(groups)


def _chosen(found: Candidates, ends: Tensor, size: int) -> Tensor:
    """The words [B, size] that a group goes on with, or ends with where it cannot go on."""
    order = ends.long() + 2 * found.scores.isinf()
    return found.tokens.gather(1, order.argsort(dim=1, stable=True)[:, :size])


def _interleaved(groups: list[Candidates]) -> Candidates:
    """Candidate j of the result belongs to group j % G."""
    scores, tokens, beams = (
        torch.stack([getattr(found, name) for found in groups], dim=2).flatten(1)
        for name in ("scores", "tokens", "beams")
    )
    return Candidates(scores, tokens, beams, num_groups=len(groups))
