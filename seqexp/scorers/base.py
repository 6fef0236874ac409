"""Scorers compare hypotheses with references, on plain detokenised text."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from seqexp.config.base import ComponentConfig


@dataclass
class ScorerConfig(ComponentConfig):
    """Base of all scorers' configs."""

    higher_is_better: ClassVar[bool] = True


@dataclass(frozen=True)
class Score:
    """A score that says how it was computed."""

    value: float
    signature: str
    higher_is_better: bool
    text: str
    """The line to show a person, as the library that computed the score formats it."""
    mean: float | None = None
    """Of the scores of bootstrap resamples, where they were asked for."""
    interval: float | None = None
    """Half the width of their 95 % confidence interval."""


class Scorer(ABC):
    @abstractmethod
    def add(self, hypothesis: str, references: list[str]) -> None:
        """Count one sentence. All sentences must have the same number of references."""

    @abstractmethod
    def result(self) -> Score:
        """The score of all sentences added so far."""

    @abstractmethod
    def sentence(self, hypothesis: str, references: list[str]) -> Score:
        """The score of one sentence by itself, which is not added to the others."""
