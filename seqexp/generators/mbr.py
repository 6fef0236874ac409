"""Minimum Bayes risk decoding: not the likeliest hypothesis, but the one most like all that are likely."""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.config.build import build
from seqexp.data.batch import PairBatch
from seqexp.data.vocabulary import Vocabulary
from seqexp.generators.base import Generator, GeneratorConfig, Hypothesis, make_generator
from seqexp.models.base import LanguageModel, Seq2SeqModel
from seqexp.scorers.base import Scorer, ScorerConfig


@dataclass
class MBRConfig(GeneratorConfig):
    """Of the hypotheses of another search, the one with the highest expected score against the others (Kumar and Byrne
    2004; with samples Eikema and Aziz 2020, arXiv 2005.10283). A hypothesis's score is that expectation."""

    needs: ClassVar[frozenset[str]] = frozenset({"vocabulary", "decode"})

    _target_: str = "seqexp.generators.mbr.MBR"
    candidates: GeneratorConfig = field(default_factory=GeneratorConfig)
    """The search whose hypotheses, as many as its `nbest` or `num_samples` says, are compared with each other."""
    utility: ScorerConfig = field(default_factory=ScorerConfig)
    """What a hypothesis is worth if another is right, on text; any scorer, sentence by sentence."""
    by_probability: bool = False
    """Weigh the others by their probability, as for the n-best list of a beam; else all alike, as for samples, of which
    likely ones come more often."""
    nbest: int = 1
    """Hypotheses returned for each sentence, best first."""

    def __post_init__(self) -> None:
        require(self.nbest > 0, "nbest", self.nbest, "it must be positive")


class MBR(Generator):
    """
    Args:
        config: options.
        vocabulary: of the hypotheses.
        decode: makes text of a hypothesis's tokens.
    """

    def __init__(
        self,
        config: MBRConfig,
        *,
        eos: int,
        pad: int,
        unk: int,
        vocabulary: Vocabulary,
        decode: Callable[[Tensor], str],
    ) -> None:
        self.config = config
        self._candidates = make_generator(config.candidates, vocabulary, decode)
        self.sees_to_constraints = self._candidates.sees_to_constraints
        self.needs_references = self._candidates.needs_references
        self._empty: Scorer = build(config.utility)
        self._sign = 1 if config.utility.higher_is_better else -1
        self._decode = decode

    def fuse(self, load: Callable[[str], LanguageModel]) -> None:
        self._candidates.fuse(load)

    def generate(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[list[Hypothesis]]:
        return [self._ranked(found) for found in self._candidates.generate(models, batch)]

    def _ranked(self, found: list[Hypothesis]) -> list[Hypothesis]:
        """The distinct texts among `found`, by the likeliest hypothesis of each, with their expected utility."""
        likeliest: dict[str, Hypothesis] = {}
        weights: Counter[str] = Counter()
        for hypothesis, weight in zip(found, self._weights(found), strict=True):
            text = self._decode(hypothesis.tokens)
            weights[text] += weight  # type: ignore[assignment]
            if text not in likeliest or hypothesis.score > likeliest[text].score:
                likeliest[text] = hypothesis
        expected = {
            text: sum(weight * self._utility(text, other) for other, weight in weights.items()) for text in likeliest
        }
        ranked = sorted(likeliest, key=lambda text: self._sign * expected[text], reverse=True)
        return [replace(likeliest[text], score=expected[text]) for text in ranked[: self.config.nbest]]

    def _weights(self, found: list[Hypothesis]) -> list[float]:
        """Of the hypotheses as references; they add up to 1."""
        log_probs = torch.tensor([float(hypothesis.positional_scores.sum()) for hypothesis in found])
        if not self.config.by_probability:
            log_probs = torch.zeros(len(found))
        return log_probs.softmax(dim=0).tolist()

    def _utility(self, hypothesis: str, reference: str) -> float:
        scorer = copy.deepcopy(self._empty)
        scorer.add(hypothesis, [reference])
        return scorer.result().value
