"""Formats in which a trained model goes to other programs."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.data.vocabulary import Vocabulary
from seqexp.models.base import Seq2SeqModel

Scores = Callable[[PairBatch], list[Tensor]]
"""Log-probability (nats) of each target token of each sentence, float32 [T] without padding."""


@dataclass(frozen=True)
class Vocabularies:
    """Both sides' tokens; one object where they are joint."""

    source: Vocabulary
    target: Vocabulary


class Format(ABC):
    """Writes a model, and reads it back through the library that it is meant for."""

    tolerance: float
    """Largest mean difference of log-probabilities (nats a token) from the model's own that is accepted."""
    usage: str
    """Python that uses the files in `folder` after `text = load_text("folder")`, for people."""

    @abstractmethod
    def write(self, model: Seq2SeqModel, vocabularies: Vocabularies, directory: Path) -> None:
        """Write the model's files into an empty directory. No file holds code or is pickled.

        Raises:
            UserError: the format cannot express the model, or its library is not installed.
        """

    @abstractmethod
    def load(self, vocabularies: Vocabularies, directory: Path) -> Scores:
        """What the files make of a batch with targets."""
