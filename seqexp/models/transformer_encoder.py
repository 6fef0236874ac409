"""The encoder of a transformer.

Shapes: B sentences, S source length, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqexp.models.base import Encoded
from seqexp.models.transformer_stack import InputEmbedding, StackConfig, StackOptions, layer_options
from seqexp.modules.layers import EncoderLayer, LayerStack
from seqexp.modules.norms import make_norm


@dataclass
class EncoderConfig(StackConfig):
    """The encoder."""


class TransformerEncoder(nn.Module):
    """Embeddings and layers.

    Args:
        config: the encoder's.
        options: those of the whole model.
        embedding: the source's token embeddings.
        max_positions: longest source.
    """

    def __init__(
        self, config: EncoderConfig, options: StackOptions, embedding: nn.Embedding, max_positions: int
    ) -> None:
        super().__init__()
        self.padding_index = options.padding_index
        self.embedding = InputEmbedding(config, options, embedding, max_positions, "max_source_positions")
        layers = (EncoderLayer(layer_options(config, options)) for _ in range(config.num_layers))
        self.layers = LayerStack(layers, config.layerdrop)
        self.norm = make_norm(config.norm, config.hidden_size) if config.normalize_before else None

    def forward(self, tokens: Tensor) -> Encoded:
        """Read sentences, int64 [B, S], padded on either side; states at padding have no meaning."""
        padding = tokens.eq(self.padding_index)
        # An exported graph has the mask always: it cannot look at values.
        padding_mask = padding if torch.compiler.is_exporting() or bool(padding.any()) else None
        mask = None if padding_mask is None else ~padding_mask[:, None, None, :]
        x = self.embedding(tokens, padding_mask)
        for number in self.layers.kept():
            x = self.layers[number](x, mask)
        if self.norm is not None:
            x = self.norm(x)
        return Encoded(x, padding_mask)
