"""Scores of given targets: the log-probability of each of their tokens, as a search would have reckoned it.

Shapes: B sentences, T padded width of the targets.
"""

import math
from collections.abc import Sequence

import torch

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.models.base import Seq2SeqModel


@torch.no_grad()
def score_reference(models: Sequence[Seq2SeqModel], batch: PairBatch, pad: int) -> list[Hypothesis]:
    """The targets of a batch as hypotheses, whose score is the log-probability of the whole (nats), not normalised.

    Several models vote as they do in a search: the probability of a token is the mean of theirs.

    Args:
        batch: with targets.
        pad: index of padding.
    """
    targets = batch.target_tokens
    assert targets is not None
    each = [
        model(batch).logits.float().log_softmax(dim=2).gather(2, targets[:, :, None]).squeeze(2) for model in models
    ]
    scores = torch.stack(each).logsumexp(dim=0) - math.log(len(each))
    kept = targets.ne(pad)
    rows = zip(targets.cpu(), scores.cpu(), kept.cpu(), strict=True)
    return [Hypothesis(tokens[mask], float(row[mask].sum()), row[mask]) for tokens, row, mask in rows]
