"""Parameters chosen by patterns of their names, such as `encoder.*`, in which `*` stands for anything."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from seqexp.runtime.errors import UserError


def require_match(option: str, pattern: str, names: Sequence[str], model: nn.Module) -> list[str]:
    """The names that a pattern of an option matches.

    Raises:
        UserError: there are none; it names those that are most like it.
    """
    matched = [name for name in names if fnmatchcase(name, pattern)]
    if not matched:
        raise UserError(f"{option}={pattern} matches no parameter of the model{_near(pattern, model, names)}")
    return matched


def _near(pattern: str, model: nn.Module, names: Sequence[str]) -> str:
    """`; did you mean ...?` for the parameters and modules whose names are most like the pattern."""
    modules = [
        f"{name}.*" for name, module in model.named_modules() if name and next(module.parameters(), None) is not None
    ]
    close = get_close_matches(pattern, [*modules, *names], n=3, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else f"; there are {', '.join(names[:3])}, ..."
