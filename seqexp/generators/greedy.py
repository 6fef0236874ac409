"""Greedy search: the likeliest word, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.search import Search, SearchConfig, Step
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
        state, predictor = self.begin(batch), self.predictor(models, batch)
        hypotheses: dict[int, Hypothesis] = {}
        active = list(range(batch.num_sentences))
        last = torch.full((batch.num_sentences,), self.start, device=device)
        tokens = last.new_empty(batch.num_sentences, 0)
        scores = torch.empty(batch.num_sentences, 0, device=device)
        for number in range(max(max_lengths) + 1):
            ending = [max_lengths[sentence] == number for sentence in active]
            step = Step(
                batch=batch,
                number=number,
                log_probs=predictor.log_probs(last),
                scores=scores.sum(dim=1, keepdim=True),
                previous=tokens,
                sentences=torch.tensor(active, device=device),
                ending=torch.tensor(ending, device=device) if any(ending) else None,
                state=state,
            )
            self.restrict(step)
            score, last = step.log_probs.max(dim=1)
            tokens = torch.cat([tokens, last[:, None]], dim=1)
            scores = torch.cat([scores, score[:, None]], dim=1)
            finished = last.eq(self.eos).tolist()
            hypotheses |= {active[row]: self._hypothesis(tokens[row], scores[row]) for row in _where(finished, True)}
            left = _where(finished, False)
            if not left:
                break
            rows = torch.tensor(left, device=device)
            if len(left) < len(active):
                active = [active[row] for row in left]
                predictor.reorder(rows, rows)
                last, tokens, scores = last[rows], tokens[rows], scores[rows]
            state.reorder(rows, rows, last)
        found = [[hypotheses[sentence]] for sentence in range(batch.num_sentences)]
        return self.finished(models, batch, found)

    def _hypothesis(self, tokens: Tensor, scores: Tensor) -> Hypothesis:
        scores = scores.cpu()
        score = self.score(scores.sum(), torch.tensor(len(scores)))
        return Hypothesis(tokens.cpu(), float(score), scores)


def _where(flags: list[bool], value: bool) -> list[int]:
    return [number for number, flag in enumerate(flags) if flag == value]
