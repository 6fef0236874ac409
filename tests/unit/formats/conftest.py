"""A small transformer of any kind, and vocabularies for it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from seqexp.data.vocabulary import Vocabulary
from seqexp.formats.base import Vocabularies
from seqexp.models.transformer import ShareEmbeddings, Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig

MakeTransformer = Callable[..., Transformer]


@pytest.fixture(scope="session")
def vocabularies() -> Vocabularies:
    words = Vocabulary.from_counts({f"w{number}": 100 - number for number in range(40)})
    return Vocabularies(words, words)


@pytest.fixture(scope="session")
def make_transformer(vocabularies: Vocabularies) -> MakeTransformer:
    def make(
        encoder: dict[str, Any] | None = None,
        decoder: dict[str, Any] | None = None,
        sharing: ShareEmbeddings = ShareEmbeddings.none,
        **options: Any,
    ) -> Transformer:
        torch.manual_seed(1)
        side: dict[str, Any] = {"num_layers": 1, "hidden_size": 16, "ffn_size": 24, "num_heads": 2}
        config = TransformerConfig(
            encoder=EncoderConfig(**{**side, **(encoder or {})}),
            decoder=DecoderConfig(**{**side, **(decoder or {})}),
            share_embeddings=sharing,
            max_source_positions=30,
            max_target_positions=30,
            **options,
        )
        size = len(vocabularies.source)
        model = Transformer(config, source_vocabulary_size=size, target_vocabulary_size=size, padding_index=1)
        for parameter in model.parameters():  # biases and norms begin as 0 and 1, which hides mistakes
            parameter.data += torch.randn_like(parameter) * 0.1
        return model.eval()

    return make
