"""What a translation attended to, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.models.base import Seq2SeqModel
from seqexp.pretrained import TrainedModel, Translation


@dataclass(frozen=True)
class Attention:
    """How much each target token looked at each source token."""

    source: list[str]
    """S tokens, the last `</s>`."""
    target: list[str]
    """T tokens, the last `</s>`."""
    weights: list[list[float]]
    """[T][S]; each row adds up to 1. Of the layer and heads that the model's config names."""


def attention_to_source(model: TrainedModel, sentence: str, translations: Sequence[Translation]) -> Attention | None:
    """That of the best translation, from another pass through the (first) model with all of its tokens given.

    None where there are no tokens, or the model does not attend to the source.
    """
    tokens = translations[0].tokens if translations else []
    batch = model.task.encode([sentence]).collate(np.array([0]))
    assert isinstance(batch, PairBatch)
    weights = _weights(model, batch, tokens) if tokens else None
    if weights is None:
        return None
    words = model.task.vocabularies()["source"]
    source = [words[index] for index in batch.source_tokens[0].tolist()]
    return Attention(source, tokens, [[round(value, 4) for value in row] for row in weights.tolist()])


@torch.no_grad()
def _weights(model: TrainedModel, batch: PairBatch, tokens: list[str]) -> Tensor | None:
    """[T, S], float32."""
    network = model.models[0]
    assert isinstance(network, Seq2SeqModel)
    words = model.task.vocabularies()["target"]
    device = model.precision.device
    previous = torch.tensor([[words.eos, *(words.index(token) for token in tokens[:-1])]], device=device)
    moved = batch.to(device)
    with model.precision.autocast():
        found = network.attention(previous, network.encode(moved.source_tokens, moved.source_lengths))
    return None if found is None else found[0].float().cpu()
