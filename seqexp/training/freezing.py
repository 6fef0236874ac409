"""Parameters that training leaves as they are."""

import logging
from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from seqexp.runtime.errors import UserError

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
        matched = [name for name in named if fnmatchcase(name, pattern)]
        if not matched:
            raise UserError(f"freeze={pattern} matches no parameter of the model{_near(pattern, model, list(named))}")
        for name in matched:
            named[name].requires_grad_(False)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    if patterns and frozen == total:
        raise UserError(f"freeze={','.join(patterns)} leaves nothing to train")
    if frozen:
        logger.info("frozen: %s of %s parameters", f"{frozen:,}", f"{total:,}")


def _near(pattern: str, model: nn.Module, names: list[str]) -> str:
    """`; did you mean ...?` for the parameters and modules whose names are most like the pattern."""
    modules = [
        f"{name}.*" for name, module in model.named_modules() if name and next(module.parameters(), None) is not None
    ]
    close = get_close_matches(pattern, [*modules, *names], n=3, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else f"; there are {', '.join(names[:3])}, ..."
