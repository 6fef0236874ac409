"""Engines: what computes when a trained model is used."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from seqexp.config.base import ComponentConfig
from seqexp.generators.base import Generator, GeneratorConfig
from seqexp.models.base import Model
from seqexp.tasks.base import Task


@dataclass
class EngineConfig(ComponentConfig):
    """Base of all engines' configs."""


@dataclass(frozen=True)
class Trained:
    """What an engine is made for."""

    task: Task
    models: list[Model]
    """In evaluation mode; several vote."""
    content: list[str]
    """Hash of each one's weights."""
    directory: Path
    """Of the run or checkpoint; what an engine makes of the weights, and keeps, goes below it."""


class Engine(ABC):
    """Finds the best outputs for encoded inputs, by the model itself or by what was made from it."""

    @abstractmethod
    def generator(self, config: GeneratorConfig, trained: Trained) -> Generator:
        """What searches as `config` says.

        Raises:
            UserError: the engine has nothing for the model, or for an option of the search.
        """
