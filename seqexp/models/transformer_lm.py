"""The decoder-only transformer: a language model.

Shapes: R rows, T length, D width, V vocabulary.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.models.base import LanguageModel, ModelOutput
from seqexp.models.transformer_decoder import CausalStackConfig, TransformerDecoder, TransformerState
from seqexp.models.transformer_stack import TransformerOptions
from seqexp.modules.embeddings import token_embedding
from seqexp.modules.state import DecoderState


@dataclass
class TransformerLMConfig(TransformerOptions, CausalStackConfig):
    """The defaults are a small modern model; fairseq's `transformer_lm` is the preset `transformer_lm_base`."""

    _target_: str = "seqexp.models.transformer_lm.TransformerLM"
    share_embeddings: bool = True
    """Input embeddings and output projection are one table."""
    max_target_positions: int = 1024
    """Longest sequence in tokens."""

    def __post_init__(self) -> None:
        CausalStackConfig.__post_init__(self)
        TransformerOptions.__post_init__(self)
        require(self.max_target_positions > 0, "max_target_positions", self.max_target_positions, "it must be positive")
        sizes = self.embedding_size, self.projected_size
        right = f"it needs input_size={sizes[0]} equal to output_size={sizes[1]}"
        require(not self.share_embeddings or sizes[0] == sizes[1], "share_embeddings", self.share_embeddings, right)


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
        embedding = token_embedding(vocabulary_size, config.embedding_size, padding_index)
        projection = nn.Linear(config.projected_size, vocabulary_size, bias=False)
        if config.share_embeddings:
            projection.weight = embedding.weight
        else:
            nn.init.normal_(projection.weight, std=config.projected_size**-0.5)
        self.decoder = TransformerDecoder(
            config,
            config.stack_options(padding_index),
            embedding,
            config.max_target_positions,
            output_projection=projection,
        )

    def token_tensors(self) -> dict[str, str]:
        return {"decoder.embedding.tokens.weight": "target", "decoder.output_projection.weight": "target"}

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
