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


def weighted(*options: tuple[T, int]) -> tuple[T, ...]:
    """Return each option as often as its weight says, ready for `Dice.pick`."""
    return tuple(option for option, weight in options for _ in range(weight))
