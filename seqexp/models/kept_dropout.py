"""Dropout that goes on when a trained model is used: each pass is then a sample of what the model might have said.

Its spread over several passes is a measure of the model's uncertainty (Gal and Ghahramani 2016, arXiv 1506.02142).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from seqexp.config.base import require
from seqexp.data.batch import Batch
from seqexp.optimizers.selection import require_match
from seqexp.runtime.rng import derive_seed


@dataclass(frozen=True)
class KeptDropout:
    """Whose dropout is kept, and what it draws."""

    patterns: list[str]
    """Of names of modules, as `freeze` has them of parameters; empty: none is kept."""
    seed: int = 1

    @classmethod
    def of(cls, value: object, seed: int) -> Self:
        """From an option: true for all modules, false for none, a pattern, or a list of them.

        Raises:
            OptionError: it is none of these, or the seed is negative or of no use.
        """
        patterns = {True: ["*"], False: []}[value] if isinstance(value, bool) else value
        patterns = [patterns] if isinstance(patterns, str) else patterns
        is_list = isinstance(patterns, Sequence) and all(isinstance(pattern, str) for pattern in patterns)
        require(is_list, "keep_dropout", value, "true, false or a list of patterns such as [decoder.*]")
        require(seed >= 0, "dropout_seed", seed, "it must not be negative")
        require(bool(patterns) or seed == 1, "dropout_seed", seed, "it needs keep_dropout")
        assert isinstance(patterns, Sequence)
        return cls(list(patterns), seed)

    def keep(self, model: nn.Module) -> None:
        """Switch it on in a model that is in evaluation mode, where it lasts until the mode is set anew.

        Raises:
            UserError: a pattern matches no module that drops anything.
        """
        dropping = {name: module for name, module in model.named_modules() if _drops(module)}
        for pattern in self.patterns:
            what = "module with dropout"
            for name in require_match("keep_dropout", pattern, list(dropping), model, what):
                dropping[name].training = True  # of this module alone: its parts have names of their own

    def seeded(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, each with torch's random numbers set, until the next is asked for, to what it alone says."""
        if not self.patterns:
            yield from batches
            return
        for batch in batches:
            with torch.random.fork_rng():
                torch.manual_seed(derive_seed(self.seed, *batch.indices.tolist()))
                yield batch


def _drops(module: nn.Module) -> bool:
    """Ours keep probabilities in attributes called so and hand them to functions; torch's have modules for it."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    rates = [value for name, value in vars(module).items() if name == "dropout" or name.endswith("_dropout")]
    return any(isinstance(rate, int | float) and rate > 0 for rate in rates)
