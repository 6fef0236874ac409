"""Attention of finished hypotheses to their sources, and word alignments from it.

It is computed when a search is over, by one pass over the hypotheses, so searches need not know of it.
Shapes: B sentences, R hypotheses, T target tokens, S source tokens.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seqexp.config.base import OptionError
from seqexp.data.batch import PairBatch
from seqexp.generators.base import GeneratorConfig, Hypothesis
from seqexp.models.base import Seq2SeqModel


def attending(config: GeneratorConfig, option: str) -> GeneratorConfig:
    """The same search, whose hypotheses have their attention.

    Args:
        option: what asks for it, for the message.

    Raises:
        OptionError: the search gives none.
    """
    if not hasattr(config, "return_attention"):
        raise OptionError(f"{option} is not valid: {type(config).__name__} has no option return_attention")
    asked: dict[str, Any] = {"return_attention": True}
    return replace(config, **asked)


@torch.no_grad()
def with_attention(
    models: Sequence[Seq2SeqModel], batch: PairBatch, found: list[list[Hypothesis]], *, start: int, pad: int, eos: int
) -> list[list[Hypothesis]]:
    """The hypotheses of a batch with their attention, the mean over the models, and the alignment that follows.

    Args:
        start: the decoder's first input.
        pad: index of padding.
        eos: index of `</s>`.

    Raises:
        OptionError: a model has no attention to the source.
    """
    sentences = [sentence for sentence, nbest in enumerate(found) for _ in nbest]
    hypotheses = [hypothesis for nbest in found for hypothesis in nbest]
    if not hypotheses:
        return found
    device = batch.source_tokens.device
    tokens = [hypothesis.tokens for hypothesis in hypotheses]
    inputs = [torch.cat([words.new_tensor([start]), words[:-1]]) for words in tokens]
    previous = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True, padding_value=pad).to(device)
    rows = torch.tensor(sentences, device=device)
    attention = sum(_attention(model, previous, batch, rows) for model in models) / len(models)
    assert isinstance(attention, Tensor)
    sources = batch.source_tokens[rows].cpu()
    each = iter(
        _attended(hypothesis, weights[: len(hypothesis.tokens), source.ne(pad)].clone(), source[source.ne(pad)], eos)
        for hypothesis, weights, source in zip(hypotheses, attention.float().cpu(), sources, strict=True)
    )
    return [[next(each) for _ in nbest] for nbest in found]


def _attended(hypothesis: Hypothesis, attention: Tensor, source: Tensor, eos: int) -> Hypothesis:
    alignment = hard_alignment(attention, source, hypothesis.tokens, eos)
    return replace(hypothesis, attention=attention, alignment=alignment)


def _attention(model: Seq2SeqModel, previous: Tensor, batch: PairBatch, rows: Tensor) -> Tensor:
    encoded = model.encode(batch.source_tokens, batch.source_lengths)
    attention = model.attention(previous, encoded.select(rows))
    if attention is None:
        raise OptionError(
            "generator.return_attention=true is not valid: the model's decoder has no attention to the source"
        )
    return attention


def hard_alignment(attention: Tensor, source: Tensor, target: Tensor, eos: int) -> list[tuple[int, int]]:
    """For each target word the source word that it attends to most.

    Args:
        attention: of a hypothesis, [T, S].
        source: its source without padding, int64 [S].
        target: its tokens, int64 [T].
        eos: index of `</s>`, which is no word.

    Returns:
        (number of the source word, number of the target word), by target; none where a side has no word.
    """
    sources, targets = (side.ne(eos).nonzero().flatten() for side in (source.cpu(), target.cpu()))
    if len(sources) == 0:
        return []
    best = attention[targets][:, sources].argmax(dim=1)
    return [(place, number) for number, place in enumerate(best.tolist())]
