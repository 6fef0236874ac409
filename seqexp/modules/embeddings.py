"""Embeddings of tokens."""

from torch import nn


def token_embedding(vocabulary_size: int, embedding_size: int, padding_index: int) -> nn.Embedding:
    """A table drawn from N(0, embedding_size^-0.5) whose padding row is and stays 0."""
    embedding = nn.Embedding(vocabulary_size, embedding_size, padding_index)
    nn.init.normal_(embedding.weight, std=embedding_size**-0.5)
    nn.init.zeros_(embedding.weight[padding_index])
    return embedding
