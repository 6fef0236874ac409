"""A language model that has a say in a search: shallow fusion (Gülçehre et al. 2015, arXiv 1503.03535).

Shapes: R rows = B x beams, V vocabulary.
"""

from torch import Tensor

from seqexp.generators.ensemble import Predictor
from seqexp.models.base import LanguageModel


class LanguageModelPredictor(Predictor):
    """What a language model says of the next word, given the words of a hypothesis alone.

    Args:
        model: in evaluation mode, with the vocabulary of the hypotheses.
    """

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._state = model.initial_state()

    def log_probs(self, tokens: Tensor) -> Tensor:
        return self._model.decode(tokens[:, None], self._state).logits[:, -1].float().log_softmax(dim=1)

    def reorder(self, rows: Tensor, sentences: Tensor | None) -> None:
        self._state.reorder(rows, sentences)
