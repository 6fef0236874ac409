"""Beginning with the weights of another model, as far as they fit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from seqexp.checkpoint.layout import Checkpoint
from seqexp.checkpoint.tensors import TensorSet
from seqexp.data.vocabulary import Vocabulary
from seqexp.models.base import Model
from seqexp.optimizers.selection import require_match
from seqexp.runtime.errors import UserError


@dataclass
class FinetuneConfig:
    """How a run begins with the weights of `checkpoint.finetune_from`: by name, and all of them unless said here."""

    fresh: list[str] = field(default_factory=list)
    """Parameters that begin fresh even if the checkpoint has them: patterns such as `decoder.layers.*`."""
    strict: bool = True
    """A parameter that the checkpoint does not have, or in another shape, is an error; false: it begins fresh."""
    match_tokens: bool = True
    """Where the vocabulary is another one, take over the embedding of every token that both have; false: all
    embeddings, and the output projection, begin fresh."""


@dataclass(frozen=True)
class Source:
    """The model that another begins with."""

    checkpoint: Checkpoint
    vocabularies: Mapping[str, Vocabulary]
    """As a task gives them."""


@dataclass
class TakenOver:
    """What became of each tensor of a model and of the checkpoint."""

    source: str
    loaded: list[str] = field(default_factory=list)
    matched: dict[str, str] = field(default_factory=dict)
    """Tensors with a row for each token, and how many rows were taken over."""
    fresh: dict[str, str] = field(default_factory=dict)
    """Those that begin fresh, and why."""
    unused: list[str] = field(default_factory=list)
    """Those of the checkpoint that the model does not have."""

    def lines(self) -> list[str]:
        """For a person to read."""
        return [
            f"weights of {self.source}: {len(self.loaded)} tensors as they are",
            *(f"  by token: {name} ({rows})" for name, rows in self.matched.items()),
            *(f"  fresh: {name} ({why})" for name, why in self.fresh.items()),
            *(f"  not used: {name}" for name in self.unused),
        ]

    def state(self) -> dict[str, Any]:
        return asdict(self)


def take_over(
    model: Model, source: Source, config: FinetuneConfig, vocabularies: Mapping[str, Vocabulary]
) -> TakenOver:
    """Give a model, freshly initialised, the weights of a checkpoint.

    Args:
        vocabularies: those of the task that the model was made for.

    Raises:
        UserError: something does not fit that nobody has said may begin fresh, or nothing fits.
    """
    saved, state = source.checkpoint.weights(), model.state_dict()
    path = source.checkpoint.path
    found = TakenOver(str(path))
    own = TensorSet.of(state)
    fresh = {name: p for p in config.fresh for name in require_match("finetune.fresh", p, list(state), model)}
    rows = _rows_of_tokens(model, source, config, vocabularies)
    for name, part in own.parts.items():
        names = [name, *(alias for alias, first in own.aliases.items() if first == name)]
        there = next((saved[each] for each in names if each in saved), None)
        pattern = next((fresh[each] for each in names if each in fresh), None)
        shared = next((rows[each] for each in names if each in rows), None)
        if pattern is not None:
            found.fresh[name] = f"finetune.fresh={pattern}"
        elif shared is not None and not config.match_tokens:
            found.fresh[name] = "finetune.match_tokens=false"
        elif there is not None and shared is not None and shared.fits(part.tensor, there):
            shared.copy(part.tensor, there)
            found.matched[name] = f"{len(shared.own)} of {len(part.tensor)} rows"
        elif there is not None and shared is None and there.shape == part.tensor.shape:
            part.tensor.copy_(there)
            found.loaded.append(name)
        else:
            found.fresh[name] = _why(part.tensor, there)
            if config.strict:
                raise UserError(
                    f"checkpoint.finetune_from={path}: {name} is {found.fresh[name]}; let it begin fresh with "
                    f"finetune.fresh=[{name}], or all that do not fit with finetune.strict=false"
                )
    found.unused = [name for name in saved if name not in state]
    if not found.loaded and not found.matched:
        raise UserError(f"checkpoint.finetune_from={path}: nothing of it is taken over, every parameter begins fresh")
    return found


@dataclass(frozen=True)
class _SharedRows:
    """The tokens that two vocabularies have in common."""

    own: Tensor
    """Their indices in this model's vocabulary, int64 [N]."""
    other: Tensor
    """Their indices in the checkpoint's."""
    num_other: int
    """Size of the checkpoint's vocabulary."""

    def fits(self, own: Tensor, other: Tensor) -> bool:
        return len(other) == self.num_other and other.shape[1:] == own.shape[1:]

    def copy(self, own: Tensor, other: Tensor) -> None:
        own[self.own.to(own.device)] = other[self.other].to(own.device, own.dtype)


def _rows_of_tokens(
    model: Model, source: Source, config: FinetuneConfig, vocabularies: Mapping[str, Vocabulary]
) -> dict[str, _SharedRows]:
    """For each tensor of the model with a row for each token of a vocabulary that is another one than in the
    checkpoint, the rows to take over.

    Raises:
        UserError: vocabularies differ, and nobody has said which tensors belong to tokens.
    """
    differing = {
        side: _shared_rows(own, source.vocabularies[side])
        for side, own in vocabularies.items()
        if side in source.vocabularies and own != source.vocabularies[side]
    }
    tensors = model.token_tensors()
    if differing and not tensors and not config.fresh:
        raise UserError(
            f"checkpoint.finetune_from={source.checkpoint.path}: its vocabulary is another one, and "
            f"{type(model).__name__} does not say which parameters belong to tokens: name them in finetune.fresh"
        )
    return {name: differing[side] for name, side in tensors.items() if side in differing}


def _shared_rows(own: Vocabulary, other: Vocabulary) -> _SharedRows:
    indices = {symbol: index for index, symbol in enumerate(other.symbols)}
    pairs = [(index, indices[symbol]) for index, symbol in enumerate(own.symbols) if symbol in indices]
    table = torch.tensor(pairs, dtype=torch.int64)
    return _SharedRows(table[:, 0], table[:, 1], len(other))


def _why(own: Tensor, there: Tensor | None) -> str:
    if there is None:
        return "not in the checkpoint"
    return f"{_shape(own)} here and {_shape(there)} in the checkpoint"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
