"""Parameters that training leaves as they are."""

import logging
from collections.abc import Sequence

from torch import nn

from seqexp.optimizers.selection import select
from seqexp.runtime.errors import UserError

logger = logging.getLogger(__name__)


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Take the gradient from the parameters that the patterns select.

    What gets no gradient must not be given to the optimizer either, whose weight decay would move it.

    Raises:
        UserError: a pattern matches nothing, or all of them together match everything.
    """
    for parameter in select(model, patterns, "freeze"):
        parameter.requires_grad_(False)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    if patterns and frozen == total:
        raise UserError(f"freeze={','.join(patterns)} leaves nothing to train")
    if frozen:
        logger.info("frozen: %s of %s parameters", f"{frozen:,}", f"{total:,}")
