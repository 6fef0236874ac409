"""Greedy search: the likeliest word, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.ensemble import Ensemble
from seqexp.generators.search import Search, SearchConfig
from seqexp.models.base import Seq2SeqModel


@dataclass
class GreedyConfig(SearchConfig):
    """Gives what `beam` gives with `beam_size` 1, faster."""

    _target_: str = "seqexp.generators.greedy.Greedy"


class Greedy(Search):
    """One hypothesis a sentence."""

    @torch.no_grad()
    def generate(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[list[Hypothesis]]:
        max_lengths = self.max_lengths(models, batch)
        device = batch.source_tokens.device
        ensemble = Ensemble(models, batch, self._options.temperature)
        hypotheses: dict[int, Hypothesis] = {}
        active = list(range(batch.num_sentences))
        last = torch.full((batch.num_sentences,), self.start, device=device)
        tokens = last.new_empty(batch.num_sentences, 0)
        scores = torch.empty(batch.num_sentences, 0, device=device)
        for step in range(max(max_lengths) + 1):
            log_probs = ensemble.log_probs(last)
            self.restrict(log_probs, step, tokens)
            score, last = log_probs.max(dim=1)
            ending = torch.tensor([max_lengths[sentence] == step for sentence in active], device=device)
            last, score = last.where(~ending, self.eos), score.where(~ending, log_probs[:, self.eos])
            tokens = torch.cat([tokens, last[:, None]], dim=1)
            scores = torch.cat([scores, score[:, None]], dim=1)
            finished = last.eq(self.eos).tolist()
            if not any(finished):
                continue
            hypotheses |= {active[row]: self._hypothesis(tokens[row], scores[row]) for row in _where(finished, True)}
            left = _where(finished, False)
            if not left:
                break
            active = [active[row] for row in left]
            rows = torch.tensor(left, device=device)
            ensemble.reorder(rows, rows)
            last, tokens, scores = last[rows], tokens[rows], scores[rows]
        return [[hypotheses[sentence]] for sentence in range(batch.num_sentences)]

    def _hypothesis(self, tokens: Tensor, scores: Tensor) -> Hypothesis:
        scores = scores.cpu()
        score = self.score(scores.sum(), torch.tensor(len(scores)))
        return Hypothesis(tokens.cpu(), float(score), scores)


def _where(flags: list[bool], value: bool) -> list[int]:
    return [number for number, flag in enumerate(flags) if flag == value]
