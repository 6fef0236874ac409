"""Tasks: what an example is, where it comes from, and how text becomes indices and text again."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from seqexp.config.base import ComponentConfig
from seqexp.criterions.base import Criterion, CriterionConfig
from seqexp.data.batching import Integers
from seqexp.data.padding import NO_PADDING, Padding
from seqexp.data.split import Split
from seqexp.data.vocabulary import Vocabulary
from seqexp.generators.base import Generator, GeneratorConfig
from seqexp.models.base import Model, ModelConfig
from seqexp.runtime.errors import UserError


@dataclass
class TaskConfig(ComponentConfig):
    """Base of all tasks' configs."""

    data: str | None = None
    """Data directory made by `preprocess`; null for the corpus that seqexp brings along."""


class Task(ABC):
    """Knows the data and its vocabularies; does not step, optimise or average."""

    config: TaskConfig
    directory: Path
    """Where the vocabularies and text stages lie: a data directory, or the copy in a checkpoint."""
    identity: str
    """Hash of the data."""
    text_identity: str
    """Hash of vocabularies and text stages: models of the same one read and write the same tokens."""
    languages: tuple[str, ...] = ()
    """What is read, then what is written; with the same text both ways round, only this tells models apart."""

    def vocabularies(self) -> dict[str, Vocabulary]:
        """By what a model calls them: `source`, `target`; none where a model reads or writes no tokens."""
        return {}

    @abstractmethod
    def files(self) -> dict[str, Path]:
        """What a checkpoint must hold for text to go in and come out: path below its folder -> file."""

    @abstractmethod
    def verify(self) -> None:
        """Compare the data's files with their checksums.

        Raises:
            UserError: one is missing or differs.
        """

    @abstractmethod
    def splits(self) -> list[str]:
        """Names of the splits that there are."""

    @abstractmethod
    def load_split(
        self, name: str, model: Model, *, for_training: bool = False, padding: Padding = NO_PADDING
    ) -> Split:
        """Examples as `model` takes them; those that are too long for it are treated as the config says.

        `padding` says how wide their batches are made.

        Raises:
            UserError: there is no such split, or a file of it is damaged.
        """

    @abstractmethod
    def encode(self, lines: Sequence[str]) -> Split:
        """Raw input text as a split without targets."""

    def encode_target(self, lines: Sequence[str]) -> list[Integers]:
        """Indices of text that outputs have to begin with or contain, without `</s>`.

        Raises:
            UserError: outputs of this task cannot be guided so.
        """
        raise UserError(f"{type(self).__name__}: prefixes and constraints are for translation")

    @abstractmethod
    def decode(self, tokens: Tensor) -> str:
        """Plain text of output indices, int64 [length], of one example."""

    @abstractmethod
    def symbols(self, tokens: Tensor) -> list[str]:
        """The vocabulary's symbols of output indices."""

    # Of tasks that have text in and text out.

    def encode_pairs(self, sources: Sequence[str], targets: Sequence[str]) -> Split:
        """Raw input texts with the raw output text of each."""
        raise UserError(f"{type(self).__name__} has no pairs of texts")

    def text_of(self, symbols: Sequence[str]) -> str:
        """Plain text of output symbols, which need not be in the vocabulary."""
        raise UserError(f"{type(self).__name__} has no pairs of texts")

    def source_symbols(self, text: str) -> list[str]:
        """Raw input text as the text stages cut it up, also what the vocabulary lacks; without `</s>`."""
        raise UserError(f"{type(self).__name__} has no pairs of texts")

    def joined(self, symbols: Sequence[str]) -> str:
        """Text of output symbols with the subwords joined, but the tokenizer not undone."""
        raise UserError(f"{type(self).__name__} has no pairs of texts")

    def source_as_read(self, text: str) -> str:
        """Raw input text as it is left by the text stages and the vocabulary, which may lack some of it."""
        raise UserError(f"{type(self).__name__} has no pairs of texts")

    def target_as_read(self, text: str) -> str:
        """The same of output text; what the vocabulary lacks is `<<unk>>`, to differ from a generated `<unk>`."""
        raise UserError(f"{type(self).__name__} has no pairs of texts")

    @abstractmethod
    def build_model(self, config: ModelConfig) -> Model:
        """A model of the right input and output sizes, freshly initialised."""

    @abstractmethod
    def build_criterion(self, config: CriterionConfig) -> Criterion: ...

    @abstractmethod
    def build_generator(self, config: GeneratorConfig) -> Generator: ...
