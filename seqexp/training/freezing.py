"""Parameters that training leaves as they are."""

import logging
from collections.abc import Sequence

from torch import nn

from seqexp.runtime.errors import UserError
from seqexp.training.patterns import require_match

logger = logging.getLogger(__name__)


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Take the gradient from the parameters whose name matches one of the patterns (`*` stands for anything).

    A parameter that has several names, as shared ones do, is frozen by any of them. What gets no gradient must not be
    given to the optimizer either, whose weight decay would move it.

    Raises:
        UserError: a pattern matches nothing, or all of them together match everything.
    """
    named = dict(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        for name in require_match("freeze", pattern, list(named), model):
            named[name].requires_grad_(False)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    if patterns and frozen == total:
        raise UserError(f"freeze={','.join(patterns)} leaves nothing to train")
    if frozen:
        logger.info("frozen: %s of %s parameters", f"{frozen:,}", f"{total:,}")
