"""The encoder-decoder transformer (Vaswani et al. 2017, arXiv 1706.03762) and its variants.

Shapes: B sentences, R rows = B x beams, S source length, T target length, D width, V target vocabulary.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from torch import Tensor, nn

from seqexp.config.base import require
from seqexp.models.base import Encoded, ModelOutput, Seq2SeqModel
from seqexp.models.transformer_decoder import DecoderConfig, TransformerDecoder, TransformerState
from seqexp.models.transformer_encoder import EncoderConfig, TransformerEncoder
from seqexp.models.transformer_stack import TransformerOptions
from seqexp.modules.adaptive import AdaptiveSoftmax
from seqexp.modules.embeddings import token_embedding
from seqexp.modules.state import DecoderState


class ShareEmbeddings(StrEnum):
    none = "none"
    decoder = "decoder"
    """The decoder's input and output (the input alone with `decoder.adaptive_softmax`)."""
    all = "all"
    """The encoder's input too: needs a joint vocabulary."""


@dataclass
class TransformerConfig(TransformerOptions):
    """The defaults are a small modern model; fairseq's `transformer` is the preset `transformer_base`."""

    _target_: str = "seqexp.models.transformer.Transformer"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    share_embeddings: ShareEmbeddings = ShareEmbeddings.all
    """Which token embeddings are one table; `all` needs a joint vocabulary."""
    max_source_positions: int = 1024
    """Longest source in tokens, with `</s>`."""
    max_target_positions: int = 1024
    """Longest target in tokens, with `</s>`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_source_positions", "max_target_positions"):
            require(getattr(self, name) > 0, name, getattr(self, name), "it must be positive")


class Transformer(Seq2SeqModel):
    """Encoder and decoder of self-attention layers.

    Args:
        config: the architecture.
        source_vocabulary_size: rows of the encoder's embedding.
        target_vocabulary_size: V.
        padding_index: the index of padding in both vocabularies.

    Raises:
        ValueError: options that do not go together.
    """

    def __init__(
        self,
        config: TransformerConfig,
        *,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        padding_index: int,
    ) -> None:
        super().__init__()
        _check(config, source_vocabulary_size, target_vocabulary_size)
        self.config = config
        self.max_source_positions = config.max_source_positions
        self.max_target_positions = config.max_target_positions
        options = config.stack_options(padding_index)
        embedding = token_embedding(source_vocabulary_size, config.encoder.hidden_size, padding_index)
        self.encoder = TransformerEncoder(config.encoder, options, embedding, config.max_source_positions)
        if config.share_embeddings != ShareEmbeddings.all:
            embedding = token_embedding(target_vocabulary_size, config.decoder.embedding_size, padding_index)
        self.decoder = TransformerDecoder(
            config.decoder,
            options,
            embedding,
            config.max_target_positions,
            source_size=config.encoder.hidden_size,
            output_projection=_output_projection(config, embedding),
        )

    def token_tensors(self) -> dict[str, str]:
        tensors = {"encoder.embedding.tokens.weight": "source", "decoder.embedding.tokens.weight": "target"}
        if isinstance(self.decoder.output_projection, nn.Linear):
            tensors["decoder.output_projection.weight"] = "target"
        return tensors

    def encode(self, source_tokens: Tensor, source_lengths: Tensor) -> Encoded:
        encoded: Encoded = self.encoder(source_tokens)
        return encoded

    def initial_state(self, encoded: Encoded) -> TransformerState:
        return self.decoder.initial_state(encoded)

    def decode(self, tokens: Tensor, encoded: Encoded, state: DecoderState | None = None) -> ModelOutput:
        assert state is None or isinstance(state, TransformerState)
        return ModelOutput(self.decoder(tokens, encoded, state), self.decoder.output_projection)

    def attention(self, tokens: Tensor, encoded: Encoded) -> Tensor | None:
        return self.decoder.attention(tokens, encoded)

    def blocks(self) -> list[nn.Module]:
        return [*self.encoder.layers, *self.decoder.layers]

    @property
    def skips_blocks(self) -> bool:
        return self.encoder.layers.layerdrop > 0 or self.decoder.layers.layerdrop > 0


def _output_projection(config: TransformerConfig, embedding: nn.Embedding) -> nn.Linear | AdaptiveSoftmax:
    num_words = embedding.num_embeddings
    if config.decoder.adaptive_softmax.cutoffs:
        return config.decoder.adaptive_output(num_words)
    projection = nn.Linear(config.decoder.projected_size, num_words, bias=False)
    if config.share_embeddings == ShareEmbeddings.none:
        nn.init.normal_(projection.weight, std=config.decoder.projected_size**-0.5)
    else:
        projection.weight = embedding.weight
    return projection


def _check(config: TransformerConfig, source_vocabulary_size: int, target_vocabulary_size: int) -> None:
    encoder, decoder, sharing = config.encoder, config.decoder, config.share_embeddings
    if sharing != ShareEmbeddings.none and not decoder.adaptive_softmax.cutoffs:
        sizes = decoder.embedding_size, decoder.projected_size
        right = f"it needs decoder.input_size={sizes[0]} equal to decoder.output_size={sizes[1]}"
        require(sizes[0] == sizes[1], "share_embeddings", sharing, right)
    if sharing == ShareEmbeddings.all:
        sizes = source_vocabulary_size, target_vocabulary_size
        right = f"it needs a joint vocabulary, these have {sizes[0]} and {sizes[1]} symbols; use decoder or none"
        require(sizes[0] == sizes[1], "share_embeddings", sharing, right)
        sizes = encoder.hidden_size, decoder.embedding_size
        right = f"it needs encoder.hidden_size={sizes[0]} equal to the decoder's embedding size {sizes[1]}"
        require(sizes[0] == sizes[1], "share_embeddings", sharing, right)
    if decoder.cross_self_attention:
        sizes = encoder.hidden_size, decoder.hidden_size
        right = f"it needs encoder.hidden_size={sizes[0]} equal to decoder.hidden_size={sizes[1]}"
        require(sizes[0] == sizes[1], "decoder.cross_self_attention", True, right)
