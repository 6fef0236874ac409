"""Scores of given targets: how probable models find them.

Shapes: B sentences, T target length, N target tokens of the batch, V vocabulary.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.generators.words import WordLogProbs
from seqexp.models.base import ModelOutput, Seq2SeqModel

_ROWS = 1024
"""Target tokens whose scores of all words are in memory together."""


@torch.no_grad()
def score_reference(models: Sequence[Seq2SeqModel], batch: PairBatch, *, pad: int) -> list[Hypothesis]:
    """The targets of a batch as hypotheses; `score` is the mean log-probability of a token, in nats.

    The probability of a token is the mean over the models, as in a search.

    Args:
        models: at least one.
        batch: with targets.
        pad: index of padding.
    """
    targets, previous = batch.target_tokens, batch.previous_tokens
    assert targets is not None
    assert previous is not None
    kept = targets.ne(pad)
    each = []
    for model in models:
        output = model.decode(previous, model.encode(batch.source_tokens, batch.source_lengths))
        each.append(_log_probs(output, kept, targets[kept]))
    log_probs = torch.stack(each).logsumexp(dim=0) - math.log(len(each))
    lengths = kept.sum(dim=1).tolist()
    sentences = zip(torch.split(targets[kept].cpu(), lengths), torch.split(log_probs.cpu(), lengths), strict=True)
    return [Hypothesis(tokens, float(scores.mean()), scores) for tokens, scores in sentences]


def _log_probs(output: ModelOutput, kept: Tensor, targets: Tensor) -> Tensor:
    """Of the targets [N], which stand where `kept` [B, T] is True; float32 [N]."""
    words = WordLogProbs()
    blocks = zip(torch.split(output.states[kept], _ROWS), torch.split(targets, _ROWS), strict=True)
    found = [words(ModelOutput(x[:, None], output.projection)).gather(1, y[:, None]).squeeze(1) for x, y in blocks]
    return torch.cat(found)
