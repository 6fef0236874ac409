"""What a translation attended to, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.models.base import Seq2SeqModel
from seqexp.modules.attention import CrossAttention
from seqexp.pretrained import TrainedModel, Translation


@dataclass(frozen=True)
class Attention:
    """How much each target token looked at each source token."""

    source: list[str]
    """S tokens, the last `</s>`."""
    target: list[str]
    """T tokens, the last `</s>`."""
    weights: list[list[float]]
    """[T][S]; each row adds up to 1. The mean over the heads of the last layer."""


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
    layers = [module for module in network.modules() if isinstance(module, CrossAttention)]
    if not layers:
        return None
    seen: list[Tensor] = []

    def look(layer: CrossAttention, inputs: tuple[Any, ...]) -> None:
        seen.append(layer.weights(*inputs))

    words = model.task.vocabularies()["target"]
    previous = [words.eos, *(words.index(token) for token in tokens[:-1])]
    moved = batch.to(model.precision.device)
    hook = layers[-1].register_forward_pre_hook(look)
    try:
        with model.precision.autocast():
            encoded = network.encode(moved.source_tokens, moved.source_lengths)
            network.decode(torch.tensor([previous], device=model.precision.device), encoded)
    finally:
        hook.remove()
    return seen[0][0].float().mean(dim=0).cpu()
