"""Libraries that not everybody needs."""

import importlib
from typing import Any

from seqexp.runtime.errors import UserError


def import_extra(module: str, extra: str) -> Any:
    """A module of an optional dependency, which `pip install 'seqexp[extra]'` brings.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"{module} is not installed ({error}): pip install 'seqexp[{extra}]'") from error
