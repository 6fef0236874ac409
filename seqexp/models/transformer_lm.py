"""The decoder-only transformer: a language model.

Shapes: R rows, T length, D width, V vocabulary.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.models.base import LanguageModel, ModelOutput
from seqexp.models.transformer_decoder import CausalStackConfig, TransformerDecoder, TransformerState
from seqexp.models.transformer_stack import TransformerOptions
from seqexp.modules.adaptive import AdaptiveInput, AdaptiveSoftmax
from seqexp.modules.embeddings import token_embedding
from seqexp.modules.state import DecoderState


@dataclass
class AdaptiveInputConfig:
    """Input words in bands of falling frequency (Baevski and Auli 2018, arXiv 1809.10853)."""

    cutoffs: list[int] = field(default_factory=list)
    """Where bands begin, as numbers of words, the most frequent first; empty: all embeddings are equally wide."""
    factor: float = 4.0
    """By which the width of embeddings falls from band to band; the first has `input_size`."""

    def __post_init__(self) -> None:
        require(self.factor >= 1, "factor", self.factor, "at least 1")


class TieAdaptive(StrEnum):
    """What adaptive input and adaptive softmax have in common."""

    none = "none"
    embeddings = "embeddings"
    """The tables of words."""
    all = "all"
    """The projections of all bands but the first too."""


@dataclass
class TransformerLMConfig(TransformerOptions, CausalStackConfig):
    """The defaults are a small modern model; fairseq's `transformer_lm` is the preset `transformer_lm_base`."""

    _target_: str = "seqexp.models.transformer_lm.TransformerLM"
    share_embeddings: bool = True
    """Input embeddings and output projection are one table. Not with bands, which have `tie_adaptive`."""
    adaptive_input: AdaptiveInputConfig = field(default_factory=AdaptiveInputConfig)
    tie_adaptive: TieAdaptive = TieAdaptive.none
    """What input and output share where both have the same bands."""
    max_target_positions: int = 1024
    """Longest sequence in tokens."""

    def __post_init__(self) -> None:
        CausalStackConfig.__post_init__(self)
        TransformerOptions.__post_init__(self)
        require(self.max_target_positions > 0, "max_target_positions", self.max_target_positions, "it must be positive")
        sizes = self.embedding_size, self.projected_size
        right = f"it needs input_size={sizes[0]} equal to output_size={sizes[1]}"
        require(not self.share_embeddings or sizes[0] == sizes[1], "share_embeddings", self.share_embeddings, right)
        has_bands = bool(self.adaptive_input.cutoffs or self.adaptive_softmax.cutoffs)
        right = "it excludes adaptive_input.cutoffs and adaptive_softmax.cutoffs"
        require(not (self.share_embeddings and has_bands), "share_embeddings", self.share_embeddings, right)
        if self.tie_adaptive is not TieAdaptive.none:
            self._require_equal_bands()

    def _require_equal_bands(self) -> None:
        one, other = self.adaptive_input, self.adaptive_softmax
        equal = bool(one.cutoffs) and one.cutoffs == other.cutoffs and one.factor == other.factor
        right = "adaptive_input and adaptive_softmax need the same cutoffs and factor"
        require(equal, "tie_adaptive", self.tie_adaptive, right)
        sizes = {self.hidden_size, self.embedding_size, self.projected_size}
        require(len(sizes) == 1, "tie_adaptive", self.tie_adaptive, "input_size and output_size must be hidden_size")


class TransformerLM(LanguageModel):
    """Layers of causal self-attention.

    Args:
        config: the architecture.
        vocabulary_size: V.
        padding_index: the index of padding in the vocabulary.
    """

    def __init__(self, config: TransformerLMConfig, *, vocabulary_size: int, padding_index: int) -> None:
        super().__init__()
        self.max_target_positions = config.max_target_positions
        embedding = _embedding(config, vocabulary_size, padding_index)
        self.decoder = TransformerDecoder(
            config,
            config.stack_options(padding_index),
            embedding,
            config.max_target_positions,
            output_projection=_output_projection(config, embedding, vocabulary_size),
        )

    def token_tensors(self) -> dict[str, str]:
        parts = {
            "decoder.embedding.tokens": self.decoder.embedding.tokens,
            "decoder.output_projection": self.decoder.output_projection,
        }
        return {
            f"{name}.weight": "target" for name, part in parts.items() if isinstance(part, nn.Embedding | nn.Linear)
        }

    def initial_state(self) -> TransformerState:
        return self.decoder.initial_state()

    def decode(self, tokens: Tensor, state: DecoderState | None = None) -> ModelOutput:
        assert state is None or isinstance(state, TransformerState)
        return ModelOutput(self.decoder(tokens, None, state), self.decoder.output_projection)

    def blocks(self) -> list[nn.Module]:
        return list(self.decoder.layers)

    @property
    def skips_blocks(self) -> bool:
        return self.decoder.layers.layerdrop > 0


def _embedding(config: TransformerLMConfig, vocabulary_size: int, padding_index: int) -> nn.Embedding | AdaptiveInput:
    if not config.adaptive_input.cutoffs:
        return token_embedding(vocabulary_size, config.embedding_size, padding_index)
    return AdaptiveInput(
        vocabulary_size,
        config.embedding_size,
        config.hidden_size,
        cutoffs=config.adaptive_input.cutoffs,
        factor=config.adaptive_input.factor,
        padding_index=padding_index,
    )


def _output_projection(
    config: TransformerLMConfig, embedding: nn.Embedding | AdaptiveInput, vocabulary_size: int
) -> nn.Linear | AdaptiveSoftmax:
    if config.adaptive_softmax.cutoffs:
        tied = None if config.tie_adaptive is TieAdaptive.none else embedding
        assert tied is None or isinstance(tied, AdaptiveInput)
        return config.adaptive_output(vocabulary_size, tied, config.tie_adaptive is TieAdaptive.all)
    projection = nn.Linear(config.projected_size, vocabulary_size, bias=False)
    if config.share_embeddings:
        assert isinstance(embedding, nn.Embedding)
        projection.weight = embedding.weight
    else:
        nn.init.normal_(projection.weight, std=config.projected_size**-0.5)
    return projection
