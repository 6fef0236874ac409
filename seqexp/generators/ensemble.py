"""One or several models that predict the next word together.

Shapes: B sentences, R rows = B x beams, V vocabulary.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.models.base import Seq2SeqModel


class Ensemble:
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
        self._states = [model.initial_state(encoded) for model, encoded in zip(models, self._encoded, strict=True)]

    def log_probs(self, tokens: Tensor) -> Tensor:
        """Log-probabilities of the word after `tokens`, int64 [R], the last of each row: float32 [R, V]."""
        each = [
            self._one(model.decode(tokens[:, None], encoded, state).logits[:, -1])
            for model, encoded, state in zip(self._models, self._encoded, self._states, strict=True)
        ]
        return each[0] if len(each) == 1 else torch.stack(each).logsumexp(dim=0) - math.log(len(each))

    def reorder(self, rows: Tensor, sentences: Tensor | None) -> None:
        """As `DecoderState.reorder`."""
        for state in self._states:
            state.reorder(rows, sentences)
        if sentences is not None:
            self._encoded = [encoded.select(sentences) for encoded in self._encoded]

    def _one(self, logits: Tensor) -> Tensor:
        scores = logits.float()
        if self._temperature != 1:
            scores = scores / self._temperature
        return scores.log_softmax(dim=1)
