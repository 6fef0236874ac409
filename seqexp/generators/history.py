"""What a beam search has found: prefixes as a graph of back-pointers, and the hypotheses that ended.

Nothing of a prefix is copied when beams are reordered; the tokens of a hypothesis are read off at the end.

Shapes: N sentences of the batch, B of them still searched, k beams, L steps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Traced:
    """Finished hypotheses, k a sentence; those beyond `counts` have no meaning. On the CPU."""

    counts: Tensor
    """Hypotheses of each sentence, int64 [N]."""
    lengths: Tensor
    """Tokens with `</s>`, int64 [N, k]."""
    log_probs: Tensor
    """Of the whole, float32 [N, k]."""
    tokens: Tensor
    """int64 [N, k, L]"""
    positional_scores: Tensor
    """Log-probability of each token, float32 [N, k, L]."""


class History:
    """Prefixes and hypotheses of the N sentences of a batch.

    Args:
        num_sentences: N.
        num_beams: k.
        num_steps: L, the most tokens of a hypothesis, `</s>` included.
        eos: the token that ends a hypothesis.
        device: where the search runs.
    """

    def __init__(self, num_sentences: int, num_beams: int, num_steps: int, eos: int, device: torch.device) -> None:
        self.num_beams = num_beams
        self.eos = eos
        size = num_steps, num_sentences, num_beams
        self._tokens = torch.zeros(size, dtype=torch.int64, device=device)
        self._parents = torch.zeros(size, dtype=torch.int64, device=device)
        self._scores = torch.zeros(size, device=device)
        # One place more than beams: what is not collected is written there.
        places = num_sentences, num_beams + 1
        self._last_steps = torch.zeros(places, dtype=torch.int64, device=device)
        self._last_beams = torch.zeros(places, dtype=torch.int64, device=device)
        self._last_scores = torch.zeros(places, device=device)
        self._counts = torch.zeros(num_sentences, dtype=torch.int64, device=device)
        self.sentences = torch.arange(num_sentences, device=device)
        """Which sentences of the batch are still searched, int64 [B]."""
        self._num_steps = 0

    def finish(self, step: int, beams: Tensor, scores: Tensor, ends: Tensor) -> Tensor:
        """Collect hypotheses that end at `step`, in order, at most k a sentence.

        Args:
            step: from 0.
            beams: number of the prefix that ends, int64 [B, k].
            scores: log-probability of the whole, [B, k].
            ends: True for those to collect, bool [B, k].

        Returns:
            True for sentences that have all k, bool [B].
        """
        counts = self._counts[self.sentences]
        places = counts[:, None] + ends.cumsum(dim=1) - 1
        places = places.where(ends, self.num_beams).clamp_(max=self.num_beams)
        sentences = self.sentences[:, None]
        self._last_steps[sentences, places] = step
        self._last_beams[sentences, places] = beams
        self._last_scores[sentences, places] = scores
        counts = (counts + ends.sum(dim=1)).clamp_(max=self.num_beams)
        self._counts[self.sentences] = counts
        self._num_steps = step + 1
        return counts.eq(self.num_beams)

    def extend(self, step: int, tokens: Tensor, beams: Tensor, scores: Tensor) -> None:
        """Add the tokens [B, k] of a step, the numbers of the prefixes they follow, and the sums of log-probability."""
        self._tokens[step, self.sentences] = tokens
        self._parents[step, self.sentences] = beams
        self._scores[step, self.sentences] = scores

    def keep(self, rows: Tensor) -> None:
        """Go on with the sentences numbered in `rows` (of B, int64) only."""
        self.sentences = self.sentences[rows]

    def trace(self) -> Traced:
        """Follow the back-pointers of all hypotheses."""
        tokens, parents, scores = (x[: self._num_steps].cpu() for x in (self._tokens, self._parents, self._scores))
        last_steps, beams, last_scores = (
            x[:, : self.num_beams].cpu() for x in (self._last_steps, self._last_beams, self._last_scores)
        )
        all_tokens, all_scores = [], []
        for step in reversed(range(self._num_steps)):
            inside = last_steps > step
            all_tokens.append(tokens[step].gather(1, beams).where(inside, self.eos))
            all_scores.append(scores[step].gather(1, beams).where(inside, last_scores))
            beams = parents[step].gather(1, beams).where(inside, beams)
        cumulative = torch.stack(all_scores[::-1], dim=2)
        return Traced(
            counts=self._counts.cpu(),
            lengths=last_steps + 1,
            log_probs=last_scores,
            tokens=torch.stack(all_tokens[::-1], dim=2),
            positional_scores=torch.cat([cumulative[..., :1], cumulative.diff(dim=2)], dim=2),
        )
