"""Random choices that are the same on every platform."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Random choices that use only `Random.random`, whose sequence Python guarantees never to change."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed).random

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self._random() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, all equally likely."""
        return options[int(self._random() * len(options))]

    def between(self, first: int, last: int) -> int:
        """Return an integer from first to last, both included."""
        return first + int(self._random() * (last - first + 1))

    def weighted(self, options: Sequence[tuple[T, float]]) -> T:
        """Return one of the options according to their weights."""
        remaining = self._random() * sum(weight for _, weight in options)
        for option, weight in options:
            remaining -= weight
            if remaining < 0:
                return option
        return options[-1][0]
