"""Models with known probabilities."""

from collections.abc import Callable

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.models.base import Encoded, ModelOutput, Seq2SeqModel
from seqexp.modules.state import DecoderState

BOS, PAD, EOS, UNK = 0, 1, 2, 3


class StubState(DecoderState):
    """The sentence of each row and the tokens that it has seen."""

    def __init__(self, sentences: Tensor) -> None:
        self.sentences = sentences
        self.prefixes: Tensor | None = None

    def reorder(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        if self.prefixes is not None:
            self.prefixes = self.prefixes[rows]
        if sentences is not None:
            self.sentences = self.sentences[sentences]


class StubModel(Seq2SeqModel):
    """Gives, for each row, `log_probs(sentence, beam, tokens so far)`, [V].

    The sentence is the first token of the source, the beam the number of the row within its sentence.
    """

    max_source_positions = 1000
    max_target_positions = 1000

    def __init__(self, log_probs: Callable[[int, int, tuple[int, ...]], Tensor]) -> None:
        super().__init__()
        self.log_probs = log_probs

    def encode(self, source_tokens: Tensor, source_lengths: Tensor) -> Encoded:
        return Encoded(source_tokens[:, :1, None].float(), None)

    def initial_state(self, encoded: Encoded) -> StubState:
        return StubState(encoded.states[:, 0, 0].long())

    def decode(self, tokens: Tensor, encoded: Encoded, state: DecoderState | None = None) -> ModelOutput:
        assert isinstance(state, StubState)
        assert torch.equal(state.sentences, encoded.states[:, 0, 0].long())
        state.prefixes = tokens if state.prefixes is None else torch.cat([state.prefixes, tokens], dim=1)
        num_beams = len(tokens) // len(state.sentences)
        rows = [
            self.log_probs(int(state.sentences[row // num_beams]), row % num_beams, tuple(prefix[1:]))
            for row, prefix in enumerate(state.prefixes.tolist())
        ]
        return ModelOutput(torch.stack(rows)[:, None])


def sources(*sentences: int, length: int = 3) -> PairBatch:
    """A batch whose sentences the stub tells apart."""
    tokens = torch.tensor([[sentence] * (length - 1) + [EOS] for sentence in sentences])
    return PairBatch(torch.arange(len(sentences)), 0, tokens, torch.full((len(sentences),), length))
