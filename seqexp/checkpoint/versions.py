"""Formats of checkpoints that older versions wrote, as this version sees them.

1: weights in one file, their aliases in checkpoint.json, the optimizer's state in `training/optimizer.pt` by the number
   of the parameter.
2: sets of tensors with an index, of which several processes may write parts; the optimizer's state by name.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqexp.checkpoint.optimizer import OptimizerState, scalar_value, tensor_name
from seqexp.checkpoint.tensors import TensorsInMemory
from seqexp.runtime.errors import UserError

FORMAT_VERSION = 2


def _from_version_1(info: dict[str, Any]) -> dict[str, Any]:
    """The aliases stay where they are: there is no index that would have them."""
    return {**info, "format_version": 2}


MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_version_1}


def migrated(info: dict[str, Any], path: Path) -> dict[str, Any]:
    """The content of a `checkpoint.json` in the present format.

    Raises:
        UserError: it has a format that this version does not know.
    """
    version = info.get("format_version")
    if version != FORMAT_VERSION and version not in MIGRATIONS:
        raise UserError(f"{path}: format version {version}, and this version of seqexp reads up to {FORMAT_VERSION}")
    while info["format_version"] != FORMAT_VERSION:
        info = MIGRATIONS[info["format_version"]](info)
    return info


def optimizer_of_version_1(path: Path, names: Sequence[str]) -> OptimizerState:
    """The state of an optimizer from a checkpoint's `training/optimizer.pt`.

    Args:
        names: of the trained parameters in the model's order, which was their order there.

    Raises:
        UserError: there it had another number of parameters, or the file is damaged.
    """
    file = path / "training" / "optimizer.pt"
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"{file}: cannot be read: {str(error).strip().splitlines()[0]}") from error
    groups = saved["param_groups"]
    numbers = [number for group in groups for number in group["params"]]
    if len(numbers) != len(names):
        raise UserError(f"{path}: its optimizer state is of {len(numbers)} parameters, and {len(names)} are trained")
    scalars: dict[str, dict[str, Any]] = {name: {} for name in names}
    tensors: dict[str, Tensor] = {}
    for number, name in zip(numbers, names, strict=True):
        for key, value in saved["state"].get(number, {}).items():
            if isinstance(value, Tensor) and value.ndim:
                tensors[tensor_name(name, key)] = value
            else:
                scalars[name][key] = scalar_value(value)
    options = frozenset(groups[0]) - {"params"}
    return OptimizerState(options, dict.fromkeys(names, ""), scalars, TensorsInMemory(tensors))
