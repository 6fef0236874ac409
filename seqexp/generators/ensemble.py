"""What predicts the next word in a search: one or several models together, or a sum of such scores.

Shapes: B sentences, R rows = B x beams, V vocabulary.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.words import WordLogProbs
from seqexp.models.base import Seq2SeqModel


class Predictor(ABC):
    """Log-probabilities of the next word of all rows of a search, step by step.

    In the first step there is one row a sentence, later there are as many as beams.
    """

    @abstractmethod
    def log_probs(self, tokens: Tensor) -> Tensor:
        """What follows `tokens`, int64 [R], the last of each row: float32 [R, V].

        The caller may change it, and it is valid until the next call.
        """

    @abstractmethod
    def reorder(self, rows: Tensor, sentences: Tensor | None) -> None:
        """Go on with other rows, as `DecoderState.reorder`."""


class WeightedSum(Predictor):
    """Log-probabilities of several predictors, each times its weight: log-linear or "shallow" fusion (Gülçehre et al.
    2015, arXiv 1503.03535).

    Args:
        parts: each with its weight.
    """

    def __init__(self, parts: Sequence[tuple[float, Predictor]]) -> None:
        self._parts = parts

    def log_probs(self, tokens: Tensor) -> Tensor:
        (weight, first), *others = self._parts
        total = first.log_probs(tokens) * weight
        for weight, other in others:
            total.add_(other.log_probs(tokens), alpha=weight)
        return total

    def reorder(self, rows: Tensor, sentences: Tensor | None) -> None:
        for _, part in self._parts:
            part.reorder(rows, sentences)


class Ensemble(Predictor):
    """The models' encoded sources and decoder states for the sentences of a batch that are not finished.

    The probability of a word is the mean of the models' probabilities.

    Args:
        models: at least one; all with the same vocabulary.
        batch: the sources.
        temperature: divides the models' scores.
    """

    def __init__(self, models: Sequence[Seq2SeqModel], batch: PairBatch, temperature: float = 1.0) -> None:
        self._models = models
        self._temperature = temperature
        self._encoded = [model.encode(batch.source_tokens, batch.source_lengths) for model in models]
        self._words = [WordLogProbs() for _ in models]
        self._states = [model.initial_state(encoded) for model, encoded in zip(models, self._encoded, strict=True)]

    def log_probs(self, tokens: Tensor) -> Tensor:
        each = [
            words(model.decode(tokens[:, None], encoded, state), self._temperature)
            for words, model, encoded, state in zip(self._words, self._models, self._encoded, self._states, strict=True)
        ]
        return each[0] if len(each) == 1 else torch.stack(each).logsumexp(dim=0) - math.log(len(each))

    def reorder(self, rows: Tensor, sentences: Tensor | None) -> None:
        for state in self._states:
            state.reorder(rows, sentences)
        if sentences is not None:
            self._encoded = [encoded.select(sentences) for encoded in self._encoded]
