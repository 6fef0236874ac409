"""Models map the inputs of a batch to scores of target tokens."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from seqexp.config.base import ComponentConfig
from seqexp.data.batch import Batch, PairBatch, TextBatch
from seqexp.modules.adaptive import AdaptiveSoftmax
from seqexp.modules.state import DecoderState


@dataclass
class ModelConfig(ComponentConfig):
    """Base of all models' configs."""


@dataclass(frozen=True)
class ModelOutput:
    """What a forward pass gives the criterion.

    Scores are by far the largest tensor of an update. A model whose last step is a linear one gives what comes before
    it, so that a criterion may make them bit by bit.
    """

    states: Tensor
    """What `projection` makes scores of, [B, T, D]; the scores themselves, [B, T, V], where that is None."""
    projection: nn.Linear | AdaptiveSoftmax | None = None
    """From D to V."""

    @cached_property
    def logits(self) -> Tensor:
        """Unnormalised scores [B, T, V], made when they are first asked for."""
        if self.projection is None:
            return self.states
        logits: Tensor = self.projection(self.states)
        return logits


class Model(nn.Module, ABC):
    """Base of all models. They compute no loss and read no config but their own."""

    @abstractmethod
    def forward(self, batch: Batch) -> ModelOutput:
        """Scores of every target position, with the true previous tokens as input."""

    def token_tensors(self) -> dict[str, str]:
        """Names in the state dict of the tensors with a row for each token, and whose tokens: `source` or `target`.

        By them a model with another vocabulary can take over what it has in common with this one.
        """
        return {}

    def blocks(self) -> list[nn.Module]:
        """The repeated layers that make up most of the model, in the order in which they are first applied.

        No block is part of another, and in training (without a decoder's state) the parameters of a block are used
        nowhere but in its own `forward`. So a block can be recomputed in the backward pass, be compiled, or have its
        parameters elsewhere until it is called. Empty: the model has no such parts.
        """
        return []

    @property
    def skips_blocks(self) -> bool:
        """Whether training leaves out blocks at random."""
        return False


@dataclass
class Encoded:
    """The encoder's view of the source: one row a sentence."""

    states: Tensor
    """[B, S, D]"""
    padding_mask: Tensor | None
    """True at padding, bool [B, S]; None where the batch has none."""

    def select(self, rows: Tensor) -> "Encoded":
        """The rows numbered in `rows` (int64), in that order, repeats allowed."""
        mask = None if self.padding_mask is None else self.padding_mask.index_select(0, rows)
        return Encoded(self.states.index_select(0, rows), mask)


class Seq2SeqModel(Model):
    """An encoder and a decoder that can run one token at a time.

    `decode` works on R rows, a multiple k of the B encoded sentences (k hypotheses each, rows of one sentence
    adjacent): the encoded states are kept once per sentence.
    """

    max_source_positions: int
    max_target_positions: int

    def max_output_size(self, source_size: int) -> int:
        """Longest target, `</s>` included, for a source of so many tokens."""
        return self.max_target_positions

    @abstractmethod
    def encode(self, source_tokens: Tensor, source_lengths: Tensor) -> Encoded:
        """Read the source, int64 [B, S]."""

    @abstractmethod
    def initial_state(self, encoded: Encoded) -> DecoderState:
        """The state before the first target token, for any number of rows a sentence; `reorder` may change it."""

    @abstractmethod
    def decode(self, tokens: Tensor, encoded: Encoded, state: DecoderState | None = None) -> ModelOutput:
        """Scores of what follows each of `tokens`, int64 [R, T].

        Without a state the whole target is given. With one, `tokens` are those that follow what the state has seen (in
        generation one, T = 1), and the state is advanced.
        """

    def attention(self, tokens: Tensor, encoded: Encoded) -> Tensor | None:
        """How much the decoder, at each of `tokens`, attends to the source; rows sum to 1.

        Args:
            tokens: as `decode` takes them without a state, int64 [R, T].
            encoded: B sentences.

        Returns:
            [R, T, S]; None if the model has no such attention.
        """
        return None

    def forward(self, batch: Batch) -> ModelOutput:
        assert isinstance(batch, PairBatch)
        assert batch.previous_tokens is not None
        return self.decode(batch.previous_tokens, self.encode(batch.source_tokens, batch.source_lengths))


class LanguageModel(Model):
    """Predicts each token of a text from those before it, and can run one token at a time."""

    max_target_positions: int
    """Longest sequence in tokens."""

    @abstractmethod
    def initial_state(self) -> DecoderState:
        """The state before the first token, for any number of rows."""

    @abstractmethod
    def decode(self, tokens: Tensor, state: DecoderState | None = None) -> ModelOutput:
        """Scores of what follows each of `tokens`, int64 [R, T].

        Without a state the whole sequence is given. With one, `tokens` are those that follow what the state has seen,
        any number of them, the same for all rows and without padding, and the state is advanced.
        """

    def forward(self, batch: Batch) -> ModelOutput:
        assert isinstance(batch, TextBatch)
        return self.decode(batch.previous_tokens)
