"""Beam search for hypotheses that contain given phrases: dynamic beam allocation (Post and Vilar 2018, arXiv
1804.06609), with phrases in a trie (Hu et al. 2019, N19-1090).

Shapes: B sentences still in the batch, P prefixes of each, R rows = B x P, k beams, C candidates, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch
from seqexp.generators.beam import BeamSearch, BeamSearchConfig, Candidates
from seqexp.generators.constraints import ConstraintOrder, ConstraintState
from seqexp.generators.search import SearchState, Step
from seqexp.models.base import Seq2SeqModel


@dataclass
class ConstrainedBeamConfig(BeamSearchConfig):
    """Every hypothesis contains the phrases given with its sentence; beam search where none are."""

    _target_: str = "seqexp.generators.constrained_beam.ConstrainedBeam"
    constraint_order: ConstraintOrder = ConstraintOrder.unordered
    """Whether the phrases occur in the order in which they are given."""


class ConstraintStates(SearchState):
    """Of each row how much of its constraints it has; None without any."""

    def __init__(self, states: list[ConstraintState | None]) -> None:
        self.states = states

    def reorder(self, rows: Tensor, sentences: Tensor | None, tokens: Tensor) -> None:
        pairs = zip(rows.tolist(), tokens.tolist(), strict=True)
        before = self.states
        self.states = [None if (state := before[row]) is None else state.advance(token) for row, token in pairs]


@dataclass(frozen=True)
class _Choice:
    """A candidate, to be sorted."""

    beam: int
    token: int
    score: float
    bank: int


class ConstrainedBeam(BeamSearch):
    """Looks, besides at the likeliest continuations, at each prefix's best and at the words that its constraints want.
    Prefixes compete with those that have as much of their constraints; each such bank has its share of the beams."""

    sees_to_constraints = True

    def __init__(self, config: ConstrainedBeamConfig, **words: Any) -> None:
        super().__init__(config, **words)
        self.order = config.constraint_order

    def begin(self, batch: PairBatch) -> SearchState:
        phrases = batch.constraints or [[]] * batch.num_sentences
        return ConstraintStates([self.order.begin(each) if each else None for each in phrases])

    def max_lengths(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[int]:
        """Also, where there are constraints, at least as many as their words, after those of a given prefix: then they
        are always met."""
        limits = super().max_lengths(models, batch)
        if batch.constraints is None:
            return limits
        needed = [sum(len(phrase) for phrase in phrases) for phrases in batch.constraints]
        prefixes = self.prefixes(batch)
        if prefixes is not None:
            given = prefixes.ne(self.pad).sum(dim=1).tolist()
            needed = [words and words + begun for words, begun in zip(needed, given, strict=True)]
        most = min(model.max_target_positions for model in models) - 1
        require(max(needed) <= most, "constraints", f"{max(needed)} words", f"the model allows {most} at most")
        return [max(pair) for pair in zip(limits, needed, strict=True)]

    def _restrict(self, step: Step) -> None:
        super()._restrict(step)
        unmet = [state is not None and not state.finished for state in _states(step)]
        if any(unmet):
            step.log_probs[torch.tensor(unmet, device=step.log_probs.device), self.eos] = float("-inf")

    def candidates(self, step: Step, num_beams: int) -> Candidates:
        found = super().candidates(step, num_beams)
        states, num_prefixes = _states(step), step.scores.shape[1]
        constrained = [row for row in range(len(step.scores)) if states[row * num_prefixes] is not None]
        if not constrained:
            return found
        rows = torch.tensor(constrained, device=found.scores.device)
        likeliest = list(zip(*(x[rows].tolist() for x in (found.beams, found.tokens, found.scores)), strict=True))
        others = self._others(step, constrained)
        for row, best, more in zip(constrained, likeliest, others, strict=True):
            of_row = states[row * num_prefixes : (row + 1) * num_prefixes]
            choices = {(beam, token): score for beam, token, score in [*zip(*best, strict=True), *more]}
            _fill(found, row, self._allocated(of_row, choices)[: found.scores.shape[1]])
        return found

    def _others(self, step: Step, constrained: list[int]) -> list[list[tuple[int, int, float]]]:
        """For each of these sentences (beam, word, score): the best word of each prefix, and those that constraints
        want."""
        num_prefixes = step.scores.shape[1]
        states, best = _states(step), step.log_probs.argmax(dim=1).tolist()
        rows, words = [], []
        for row in (sentence * num_prefixes + beam for sentence in constrained for beam in range(num_prefixes)):
            state = states[row]
            assert state is not None
            wanted = sorted({best[row], *state.next_tokens})
            rows += [row] * len(wanted)
            words += wanted
        scores = (step.log_probs[rows, words] + step.scores.flatten()[rows]).tolist()
        by_sentence: dict[int, list[tuple[int, int, float]]] = {sentence: [] for sentence in constrained}
        for row, word, score in zip(rows, words, scores, strict=True):
            by_sentence[row // num_prefixes].append((row % num_prefixes, word, score))
        return list(by_sentence.values())

    def _allocated(
        self, states: Sequence[ConstraintState | None], choices: dict[tuple[int, int], float]
    ) -> list[_Choice]:
        """The best of each bank, from the fullest bank to the emptiest, then the second best of each, and so on."""
        found = []
        for (beam, token), score in choices.items():
            state = states[beam]
            assert state is not None
            bank = (state if token == self.eos else state.advance(token)).bank
            if score > float("-inf"):
                found.append(_Choice(beam, token, score, bank))
        found.sort(key=lambda choice: (-choice.bank, -choice.score))
        ranked = [
            (rank, choice)
            for _, of_bank in groupby(found, key=lambda choice: choice.bank)
            for rank, choice in enumerate(of_bank)
        ]
        ranked.sort(key=lambda pair: pair[0])  # stable: banks stay in their order
        return [choice for _, choice in ranked]


def _states(step: Step) -> list[ConstraintState | None]:
    assert isinstance(step.state, ConstraintStates)
    return step.state.states


def _fill(candidates: Candidates, row: int, choices: list[_Choice]) -> None:
    """Put these in the place of a sentence's candidates."""
    candidates.scores[row] = float("-inf")
    for name, values in (
        ("scores", [choice.score for choice in choices]),
        ("tokens", [choice.token for choice in choices]),
        ("beams", [choice.beam for choice in choices]),
    ):
        tensor: Tensor = getattr(candidates, name)
        tensor[row, : len(choices)] = torch.tensor(values, dtype=tensor.dtype, device=tensor.device)
