"""Tensors in files: safetensors, and an index that says in which file which rows of a tensor lie.

A set of tensors called `model` is `model.index.json` and one file of each process that has written a part of it:
`model.safetensors` of a single one, `model-00001-of-00002.safetensors`, ... of several. The index holds

    {"tensors": {name: {"dtype": "float32", "shape": [4, 2], "parts": [{"file": ..., "offset": 0, "rows": 4}]}},
     "aliases": {further name: name}}
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from seqexp.runtime.errors import UserError


@dataclass(frozen=True)
class Part:
    """Rows of a tensor, as one process holds them."""

    tensor: Tensor
    offset: int
    """Its first row along dimension 0 of the whole; 0 for a scalar."""
    full_shape: tuple[int, ...]
    """Shape of the whole."""

    @classmethod
    def whole(cls, tensor: Tensor) -> Self:
        return cls(tensor.detach(), 0, tuple(tensor.shape))

    @property
    def rows(self) -> int:
        return _num_rows(self.tensor.shape)


@dataclass(frozen=True)
class TensorSet:
    """What one process holds of some tensors."""

    parts: Mapping[str, Part]
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Further names of the same tensors: tied weights are kept once."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], part: Callable[[Tensor], Part] = Part.whole) -> Self:
        """Of these tensors what `part` says that this process holds; those that share their memory become one with
        aliases."""
        parts: dict[str, Part] = {}
        aliases: dict[str, str] = {}
        names: dict[tuple[int, torch.Size, tuple[int, ...]], str] = {}
        for name, tensor in tensors.items():
            held = part(tensor)
            key = (held.tensor.data_ptr(), held.tensor.shape, held.tensor.stride())
            if held.tensor.numel() and key in names:
                aliases[name] = names[key]
            else:
                names[key] = name
                parts[name] = held
        return cls(parts, aliases)


def write_parts(path: Path, parts: Mapping[str, Part]) -> dict[str, Any]:
    """Write what one process holds of a set to a file.

    Returns:
        Its share of the index's `tensors`. Of a tensor of which it holds no row there is nothing.
    """
    held = {name: part for name, part in parts.items() if part.rows or not _num_rows(part.full_shape)}
    save_file({name: part.tensor.cpu().contiguous() for name, part in held.items()}, path)
    return {
        name: {
            "dtype": str(part.tensor.dtype).removeprefix("torch."),
            "shape": list(part.full_shape),
            "parts": [{"file": path.name, "offset": part.offset, "rows": part.rows}],
        }
        for name, part in held.items()
    }


def merge_shares(shares: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The index's `tensors` from the shares of all processes.

    Raises:
        ValueError: rows of a tensor are missing or there twice, or the processes disagree on its shape or type.
    """
    merged: dict[str, Any] = {}
    for share in shares:
        for name, entry in share.items():
            known = merged.setdefault(name, {**entry, "parts": []})
            if (known["dtype"], known["shape"]) != (entry["dtype"], entry["shape"]):
                raise ValueError(f"{name}: processes disagree on its shape or type")
            known["parts"] = sorted([*known["parts"], *entry["parts"]], key=lambda part: int(part["offset"]))
    for name, entry in merged.items():
        reached = 0
        for part in entry["parts"]:
            if part["offset"] != reached:
                raise ValueError(f"{name}: rows {reached} to {part['offset']} are missing, or there twice")
            reached += part["rows"]
        if reached != _num_rows(entry["shape"]):
            raise ValueError(f"{name}: {reached} rows of {_num_rows(entry['shape'])}")
    return merged


class Tensors(Protocol):
    """Tensors by name, of which one reads what one needs."""

    def names(self) -> list[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows `start` to before `stop` along dimension 0, on the CPU; all of them where `stop` is None."""


class TensorFiles:
    """A set in the files of a checkpoint, whoever has written which part of it."""

    def __init__(self, directory: Path, index: Mapping[str, Any]) -> None:
        """`directory`: where the files lie that the index names."""
        self.directory = directory
        self.entries: Mapping[str, Any] = index["tensors"]
        self.aliases: Mapping[str, str] = index["aliases"]
        self._files: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Every tensor once, without the aliases."""
        return list(self.entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.entries[self.aliases.get(name, name)]["shape"])

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        """Rows `start` to before `stop`, assembled from the files that hold them; the others are not read.

        Raises:
            UserError: a file cannot be read.
        """
        name = self.aliases.get(name, name)
        entry = self.entries[name]
        stop = _num_rows(entry["shape"]) if stop is None else stop
        pieces = []
        for part in entry["parts"]:
            first, last = max(start, part["offset"]), min(stop, part["offset"] + part["rows"])
            if first < last or not part["rows"]:
                pieces.append(self._rows(name, part, first - part["offset"], last - part["offset"]))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def read_all(self) -> dict[str, Tensor]:
        """All of them; tied ones are one tensor with several names."""
        tensors = {name: self.read(name) for name in self.names()}
        return {**tensors, **{alias: tensors[name] for alias, name in self.aliases.items()}}

    def _rows(self, name: str, part: Mapping[str, Any], start: int, stop: int) -> Tensor:
        path = self.directory / part["file"]
        try:
            file = self._open(part["file"])
            whole = (start, stop) == (0, part["rows"])
            rows: Tensor = file.get_tensor(name) if whole else file.get_slice(name)[start:stop]
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error
        return rows

    def _open(self, name: str) -> Any:
        """A file, which stays open as long as this object lives."""
        if name not in self._files:
            self._files[name] = safe_open(self.directory / name, framework="pt")
        return self._files[name]


@dataclass(frozen=True)
class TensorsInMemory:
    """Tensors that were read already."""

    tensors: Mapping[str, Tensor]

    def names(self) -> list[str]:
        return list(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[name].shape)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Tensor:
        tensor = self.tensors[name]
        return tensor if tensor.ndim == 0 or (start, stop) == (0, None) else tensor[start:stop]


def index_of_file(path: Path, aliases: Mapping[str, str]) -> dict[str, Any]:
    """The index of a set that is one file of whole tensors.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    entries = {
        name: {"shape": shape, "parts": [{"file": path.name, "offset": 0, "rows": _num_rows(shape)}]}
        for name, shape in shapes.items()
    }
    return {"tensors": entries, "aliases": dict(aliases)}


def _num_rows(shape: Iterable[int]) -> int:
    """Rows along dimension 0; a scalar counts as one."""
    return next(iter(shape), 1)
