"""Other forms of the translations than JSON."""

import math
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

import torch

from seqexp.tasks.base import Task


class Format(StrEnum):
    """What is written beside `hypotheses.txt`, which has the best translation of each sentence."""

    jsonl = "jsonl"
    """`hypotheses.jsonl`: an object a sentence, with source, references, and all hypotheses with tokens and scores."""
    fairseq = "fairseq"
    """The same, and `generate-<split>.txt`: the lines of fairseq-generate, S-, T-, H-, D-, P-,
    and A- with `alignment` or `generator.return_attention=true`."""


class Alignment(StrEnum):
    """What A- lines say."""

    hard = "hard"
    """`s-t`: the word t attends most to the word s; counted from 0 and without `</s>`."""
    soft = "soft"
    """For each token, `</s>` included, how much it attends to each token of the source, separated by commas."""


def fairseq_lines(
    task: Task, sentences: Iterable[Mapping[str, Any]], alignment: Alignment | None = None
) -> Iterator[str]:
    """The lines that fairseq-generate prints of translated sentences, in the order of the input (which is not its own).

    Scores are to base 2, in 32 bits. S and T are the text as the vocabularies let it through, D is the hypothesis as
    text and H the same before the tokenizer is undone.

    Args:
        sentences: the objects of `hypotheses.jsonl`.
        alignment: what A- lines say, where hypotheses have one; None is `hard`.
    """
    for sentence in sentences:
        number = sentence["id"]
        yield f"S-{number}\t{task.source_as_read(sentence['source'])}"
        for reference in sentence.get("references", [])[:1]:
            yield f"T-{number}\t{task.target_as_read(reference)}"
        for hypothesis in sentence["hypotheses"]:
            score = float(torch.tensor(hypothesis["score"], dtype=torch.float32) / math.log(2))
            yield f"H-{number}\t{score}\t{task.joined(hypothesis['tokens'])}"
            yield f"D-{number}\t{score}\t{hypothesis['text']}"
            each = torch.tensor(hypothesis["token_scores"], dtype=torch.float32) / math.log(2)
            yield f"P-{number}\t{' '.join(f'{value:.4f}' for value in each.tolist())}"
            if "alignment" in hypothesis:
                yield f"A-{number}\t{' '.join(_aligned(hypothesis, alignment))}"


def _aligned(hypothesis: Mapping[str, Any], alignment: Alignment | None) -> Iterator[str]:
    if alignment is Alignment.soft:
        yield from (",".join(f"{weight:.6f}" for weight in row) for row in hypothesis["attention"])
    else:
        yield from (f"{source}-{target}" for source, target in hypothesis["alignment"])
