"""N-best lists ranked anew by what a model of the other direction and a language model say of them: the noisy channel
(Yee et al. 2019, arXiv 1908.05731)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqexp.data.batch import TextBatch
from seqexp.generators.scoring import target_log_probs
from seqexp.tasks.language_modeling import LanguageModelingTask
from seqexp.trained_model import TrainedModel


@dataclass(frozen=True)
class Weights:
    """score = (direct * ln p(y | x) + channel * ln p(x | y) + lm * ln p(y)) / length ** length_penalty."""

    direct: float
    channel: float
    lm: float
    length_penalty: float
    """Length is that of the hypothesis y in the tokens of the direct model, `</s>` included."""


def rerank(
    sentences: Sequence[dict[str, Any]], channel: TrainedModel | None, lm: TrainedModel | None, weights: Weights
) -> list[dict[str, Any]]:
    """Sentences with their hypotheses in the new order, best first, with the new `score` and what it is made of.

    Args:
        sentences: as `generate` writes them: `source`, and `hypotheses` with `text` and `token_scores`.
        channel: translates from the language of the hypotheses into that of the source; None leaves its part out.
        lm: of the hypotheses' language; None leaves its part out.
    """
    pairs = [(sentence["source"], each["text"]) for sentence in sentences for each in sentence["hypotheses"]]
    sources, texts = [source for source, _ in pairs], [text for _, text in pairs]
    channels = [0.0] * len(pairs) if channel is None else [each.log_prob for each in channel.score(texts, sources)]
    fluencies = [0.0] * len(pairs) if lm is None else text_log_probs(lm, texts)
    scores = iter(zip(channels, fluencies, strict=True))
    return [{**sentence, "hypotheses": _ranked(sentence["hypotheses"], scores, weights)} for sentence in sentences]


def _ranked(hypotheses: Sequence[dict[str, Any]], scores: Any, weights: Weights) -> list[dict[str, Any]]:
    ranked = []
    for each, (channel, lm) in zip(hypotheses, scores, strict=False):
        direct = sum(each["token_scores"])
        total = weights.direct * direct + weights.channel * channel + weights.lm * lm
        score = total / max(len(each["token_scores"]), 1) ** weights.length_penalty
        ranked.append({**each, "score": score, "direct": direct, "channel": channel, "lm": lm})
    return sorted(ranked, key=lambda each: -each["score"])


def text_log_probs(model: TrainedModel, texts: Sequence[str]) -> list[float]:
    """ln p of each text with its `</s>`, as a language model sees it."""
    task = model.task
    assert isinstance(task, LanguageModelingTask)
    first = task.vocabulary.bos if task.config.add_bos else task.vocabulary.eos
    rows = [torch.from_numpy(np.asarray(indices, dtype=np.int64)) for indices in task.indices(texts)]
    found = [0.0] * len(rows)
    for numbers in _batches([len(row) for row in rows], model.limits.max_tokens or 4096):
        targets = _padded([rows[number] for number in numbers], task.vocabulary.pad)
        previous = torch.cat([targets.new_full((len(targets), 1), first), targets[:, :-1]], dim=1)
        batch = TextBatch(torch.tensor(numbers), targets.numel(), previous, targets).to(model.precision.device)
        assert batch.target_tokens is not None
        with model.precision.autocast():
            log_probs = target_log_probs(model.models, batch, batch.target_tokens, task.vocabulary.pad)
        parts = torch.split(log_probs, [len(rows[number]) for number in numbers])
        for number, part in zip(numbers, parts, strict=True):
            found[number] = float(part.sum())
    return found


def _batches(lengths: list[int], max_tokens: int) -> list[list[int]]:
    """Numbers of rows of similar length, together at most `max_tokens` wide, but at least one."""
    batches: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not batches or (len(batches[-1]) + 1) * lengths[number] > max_tokens:
            batches.append([])
        batches[-1].append(number)
    return batches


def _padded(rows: list[Tensor], pad: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad)
