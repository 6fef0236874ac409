"""Language models for searches that know sequence-to-sequence models: the source is the beginning of the text.

Shapes: B prompts, P their length, R rows = B x beams, T tokens.
"""

from torch import Tensor

from seqexp.config.base import require
from seqexp.models.base import Encoded, LanguageModel, Model, ModelOutput, Seq2SeqModel
from seqexp.modules.state import DecoderState


def searchable(model: Model) -> Seq2SeqModel:
    """The model itself, or a language model that goes on with its source.

    Raises:
        TypeError: it is neither a sequence-to-sequence nor a language model.
    """
    if isinstance(model, Seq2SeqModel):
        return model
    if isinstance(model, LanguageModel):
        return Prompted(model)
    raise TypeError(f"{type(model).__name__} writes no text")


class PromptState(DecoderState):
    """The language model's state, and whether it has read its prompt."""

    def __init__(self, state: DecoderState) -> None:
        self.state = state
        self.has_read = False

    def reorder(self, rows: Tensor, sentences: Tensor | None = None) -> None:
        self.state.reorder(rows, sentences)


class Prompted(Seq2SeqModel):
    """A language model whose source is a prompt, which begins with what the model begins a text with.

    There is no encoder. The prompt is read in the first call of `decode`, in place of the search's own first token.
    Prompts of a batch are equally long.
    """

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model
        self.max_source_positions = self.max_target_positions = model.max_target_positions

    def max_output_size(self, source_size: int) -> int:
        """
        Raises:
            OptionError: the prompt leaves no room.
        """
        size, most = f"{source_size} tokens", self.max_target_positions
        require(source_size < most, "prompt", size, f"with what follows, the model takes {most} at most")
        return most - source_size + 1

    def encode(self, source_tokens: Tensor, source_lengths: Tensor) -> Encoded:
        """The prompts themselves, int64 [B, P]."""
        return Encoded(source_tokens, None)

    def initial_state(self, encoded: Encoded) -> PromptState:
        return PromptState(self.model.initial_state())

    def decode(self, tokens: Tensor, encoded: Encoded, state: DecoderState | None = None) -> ModelOutput:
        assert isinstance(state, PromptState)
        if not state.has_read:
            tokens = encoded.states.repeat_interleave(len(tokens) // len(encoded.states), dim=0)
            state.has_read = True
        return self.model.decode(tokens, state.state)
