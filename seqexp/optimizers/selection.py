"""Parameters of a model that options name: by kind, or by patterns of their names."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from seqexp.runtime.errors import UserError

KINDS = ("bias", "norm", "embedding", "hidden_matrix")
"""`bias`: what is called so. `norm`: parameters of normalisation layers, their biases too. `embedding`: tables of
vectors. `hidden_matrix`: parameters of two dimensions that are neither a table nor a projection onto what a table has
vectors for, i.e. a vocabulary."""


def select(model: nn.Module, patterns: Sequence[str], option: str) -> set[nn.Parameter]:
    """The parameters of these kinds, and those whose name matches one of the patterns (`*` stands for anything).

    A parameter that has several names, as shared ones do, goes by any of them.

    Args:
        option: name of the option that holds the patterns, for messages.

    Raises:
        UserError: a pattern matches nothing. (A kind may: not every model has biases.)
    """
    named = dict(model.named_parameters(remove_duplicate=False))
    selected: set[nn.Parameter] = set()
    for pattern in patterns:
        if pattern in KINDS:
            selected |= _of_kind(model, pattern)
            continue
        selected |= {named[name] for name in require_match(option, pattern, list(named), model)}
    return selected


def require_match(
    option: str, pattern: str, names: Sequence[str], model: nn.Module, what: str = "parameter"
) -> list[str]:
    """The names that a pattern of an option matches.

    Args:
        what: whose names they are, for the message.

    Raises:
        UserError: there are none; it names those that are most like it.
    """
    matched = [name for name in names if fnmatchcase(name, pattern)]
    if not matched:
        kinds = KINDS if what == "parameter" else ()
        near = _near(pattern, model, names, kinds) if names else ""
        raise UserError(f"{option}={pattern} matches no {what} of the model{near}")
    return matched


def _of_kind(model: nn.Module, kind: str) -> set[nn.Parameter]:
    if kind == "bias":
        named = model.named_parameters(remove_duplicate=False)
        return {parameter for name, parameter in named if name.rpartition(".")[2].endswith("bias")}
    if kind == "norm":
        return _parameters(module for module in model.modules() if _is_norm(module))
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
    embeddings = _parameters(tables)
    if kind == "embedding":
        return embeddings
    sizes = {table.num_embeddings for table in tables}
    return {p for p in model.parameters() if p.dim() == 2 and p not in embeddings and p.shape[0] not in sizes}


def _parameters(modules: Iterable[nn.Module]) -> set[nn.Parameter]:
    return {parameter for module in modules for parameter in module.parameters(recurse=False)}


def _is_norm(module: nn.Module) -> bool:
    """torch's normalisation layers have no base class of their own, but all have this in their names."""
    return "Norm" in type(module).__name__ and bool(_parameters([module]))


def _near(pattern: str, model: nn.Module, names: Sequence[str], kinds: Sequence[str]) -> str:
    """`; did you mean ...?` for the names, modules that have them, and kinds that are most like the pattern."""
    modules = [name for name, _ in model.named_modules() if any(other.startswith(f"{name}.") for other in names)]
    close = get_close_matches(pattern, [*kinds, *(f"{name}.*" for name in modules), *names], n=3, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else f"; there are {', '.join(names[:3])}, ..."
