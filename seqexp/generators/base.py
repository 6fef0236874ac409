"""Generators search for the outputs that a model scores highest."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seqexp.config.base import ComponentConfig
from seqexp.config.build import build
from seqexp.data.batch import PairBatch
from seqexp.data.vocabulary import Vocabulary
from seqexp.models.base import LanguageModel, Seq2SeqModel


@dataclass
class GeneratorConfig(ComponentConfig):
    """Base of all generators' configs. Their classes take the indices `eos`, `pad` and `unk`."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What they take besides: `vocabulary`, `decode`; see `make_generator`."""


@dataclass(frozen=True)
class Hypothesis:
    """One output for one sentence."""

    tokens: Tensor
    """int64 [length], on the CPU, ends in `</s>`."""
    score: float
    """What hypotheses are ranked by: the log-probability (nats), normalised as the generator's config says."""
    positional_scores: Tensor
    """Log-probability (nats) of each token, float32 [length], on the CPU."""
    attention: Tensor | None = None
    """How much each token, before it was known, attended to each token of the source without padding: float32 [length,
    source length], on the CPU; rows sum to 1. None unless the generator was asked for it."""
    alignment: list[tuple[int, int]] | None = None
    """Where there is `attention`, for each word the source word that it attends to most: (number of the source word,
    number of the word), from 0 and without `</s>`."""


class Generator(ABC):
    """Searches with one model, or with several that vote; neither detokenises nor scores against references."""

    sees_to_constraints = False
    """Whether hypotheses contain the `constraints` of a batch; otherwise it refuses such a batch."""
    needs_references = False

    @abstractmethod
    def generate(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[list[Hypothesis]]:
        """For each sentence of the batch, in order, its hypotheses from best to worst.

        There is at least one, unless the models give `</s>` probability 0 wherever it is allowed.
        """

    def fuse(self, load: Callable[[str], LanguageModel]) -> None:  # noqa: B027  # most have none
        """Take in the language model that the config names, if it does; `load` gives the one of a run's directory."""


def make_generator(config: GeneratorConfig, vocabulary: Vocabulary, decode: Callable[[Tensor], str]) -> Generator:
    """What a task builds.

    Args:
        vocabulary: of the hypotheses.
        decode: gives the plain text of a hypothesis's tokens.

    Raises:
        UserError: the generator refuses its options.
    """
    offered = {"vocabulary": vocabulary, "decode": decode}
    generator: Generator = build(
        config,
        eos=vocabulary.eos,
        pad=vocabulary.pad,
        unk=vocabulary.unk,
        **{name: offered[name] for name in config.needs},
    )
    return generator
