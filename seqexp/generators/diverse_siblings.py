"""Beam search that prefers different prefixes to different last words (Li et al. 2016, arXiv 1611.08562)."""

from dataclasses import dataclass
from typing import Any

import torch

from seqexp.config.base import require
from seqexp.generators.beam import BeamSearch, BeamSearchConfig, Candidates
from seqexp.generators.search import Step


@dataclass
class DiverseSiblingsConfig(BeamSearchConfig):
    """Continuations of one prefix stand in each other's way: the r-th best is taken for `diversity_rate` * r worse."""

    _target_: str = "seqexp.generators.diverse_siblings.DiverseSiblings"
    diversity_rate: float = 0.5
    """Subtracted from the score, from the second word on, times the rank among the continuations of the prefix, from 1;
    0 is beam search."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.diversity_rate >= 0, "diversity_rate", self.diversity_rate, "it must not be negative")


class DiverseSiblings(BeamSearch):
    """Beam search with another order of candidates."""

    def __init__(self, config: DiverseSiblingsConfig, **words: Any) -> None:
        super().__init__(config, **words)
        self.rate = config.diversity_rate

    def candidates(self, step: Step, num_beams: int) -> Candidates:
        """The 2k best of the 2k best of each prefix."""
        if step.number == 0:
            return super().candidates(step, num_beams)
        values, words = step.log_probs.topk(min(2 * num_beams, step.log_probs.shape[1]), dim=1)
        ranks = torch.arange(1, values.shape[1] + 1, device=values.device)
        step.log_probs.fill_(float("-inf")).scatter_(1, words, values - self.rate * ranks)
        return super().candidates(step, num_beams)
