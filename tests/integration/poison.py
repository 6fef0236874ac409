"""Training examples that blow up: `python poison.py <kind> <example> <arguments of train>`."""

import sys
from typing import Any

import torch

from seqexp.criterions.base import LossOutput
from seqexp.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropy

LARGE = 600.0
"""A gradient that overflows 16 bits when it is multiplied by the scale 128, and not by 64."""


def poisoned(kind: str, example: int) -> Any:
    """The criterion's forward with one example that is bad in training, in every epoch.

    Args:
        kind: `large` for a gradient of `LARGE` in float16, `infinite` for one that no scale can save, `nan` for a loss
            that is not a number, `none` for an example as good as any.
    """
    original = LabelSmoothedCrossEntropy.forward

    def forward(self: LabelSmoothedCrossEntropy, model: Any, batch: Any) -> LossOutput:
        output = original(self, model, batch)
        if kind == "none" or not model.training or example not in batch.indices.tolist():
            return output
        if kind == "nan":
            return LossOutput(output.sum * float("nan"), output.num_targets, output.metrics)
        weight = next(model.parameters())
        factor = LARGE if kind == "large" else float("inf")
        extra = factor * (weight.to(torch.float16).float().sum() - weight.detach().to(torch.float16).float().sum())
        return LossOutput(output.sum + extra, output.num_targets, output.metrics)

    return forward


if __name__ == "__main__":
    kind, number, *arguments = sys.argv[1:]
    LabelSmoothedCrossEntropy.forward = poisoned(kind, int(number))  # type: ignore[method-assign]
    sys.argv[1:] = arguments
    from seqexp.train import cli

    cli()
