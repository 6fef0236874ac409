"""What turns raw text into tokens and back, one stage at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqexp.config.base import ComponentConfig
from seqexp.tokenizers.sampling import Sampler, SamplingConfig, Vocabulary


@dataclass
class TokenizerConfig(ComponentConfig):
    """Options that every text stage has: none."""

    def portable(self) -> "TokenizerConfig":
        """The config as a data directory keeps it: without paths that only `Tokenizer.train` reads."""
        return self


class Tokenizer(ABC):
    """One stage of text processing: text to tokens separated by single spaces, and back.

    The stages of a corpus are applied in order, e.g. Moses and then SentencePiece; decoding runs them backwards.
    Fields whose stages name the same `files()` share them: they are trained once, on the text of all these fields.
    """

    is_identity: bool = False
    """Encoding only normalises white space, so reading the text's tokens gives the same without it."""

    def __init__(self, config: TokenizerConfig, *, directory: Path, language: str) -> None:  # noqa: B027
        """`directory` holds the stage's files (a model, merge operations) under the names in `files()`. They are read
        when first needed: a stage that is to be trained is made before they exist."""

    def train(self, lines: Iterable[str]) -> None:  # noqa: B027  not abstract
        """Learn from text of the previous stage and write `files()` into the directory; most stages need not.

        Raises:
            UserError: the text or a given model does not suit the options.
        """

    def files(self) -> list[str]:
        """Names of the files, inside the directory, without which this stage cannot run."""
        return []

    def inputs(self) -> list[Path]:
        """Files outside the directory that `train` reads instead of learning."""
        return []

    @abstractmethod
    def encode(self, line: str) -> str:
        """One line of text as tokens separated by single spaces; no other white space is in it."""

    def encode_lines(self, lines: list[str]) -> list[str]:
        """`encode` for many lines; overridden where a library is faster in bulk."""
        return [self.encode(line) for line in lines]

    def sampler(self, sampling: SamplingConfig, vocabulary: Vocabulary | None = None) -> Sampler | None:
        """What encodes a line with subwords drawn at random; None where the stage draws none by these options.

        Only tokens of the `vocabulary` are drawn, unless a text needs others; None stands for one that has all.
        """
        return None

    def word_starts(self, tokens: Sequence[str]) -> list[bool] | None:
        """For each token of a line whether a word begins with it; None where this stage's tokens do not tell."""
        return None

    @abstractmethod
    def decode(self, tokens: str) -> str:
        """The inverse of `encode`, as far as there is one."""
