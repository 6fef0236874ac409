"""A transformer with random weights, and sentences of different lengths."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from seqexp.data.batch import PairBatch
from seqexp.generators.base import Hypothesis
from seqexp.models.transformer import Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from tests.unit.generators.stub import EOS, PAD

NUM_WORDS = 30


def toy_transformer(seed: int = 2) -> Transformer:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        side: dict[str, Any] = {"num_layers": 1, "hidden_size": 16, "ffn_size": 32, "num_heads": 2}
        config = TransformerConfig(
            encoder=EncoderConfig(**side), decoder=DecoderConfig(**side), max_target_positions=30
        )
        model = Transformer(
            config, source_vocabulary_size=NUM_WORDS, target_vocabulary_size=NUM_WORDS, padding_index=PAD
        )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    return model.eval()


def random_sources(left: bool = False) -> PairBatch:
    generator = torch.Generator().manual_seed(7)
    lengths = [9, 3, 6, 12, 4, 7, 5, 11]
    rows = torch.full((len(lengths), 14), PAD)
    for row, length in zip(rows, lengths, strict=True):
        part = row[-length:] if left else row[:length]
        part[:] = torch.randint(4, NUM_WORDS, (length,), generator=generator)
        part[-1] = EOS
    return PairBatch(torch.arange(len(lengths)), 0, rows, torch.tensor(lengths))


def select(batch: PairBatch, numbers: list[int]) -> PairBatch:
    """Some sentences of a batch, with their prefixes and constraints."""
    return replace(
        batch,
        indices=batch.indices[numbers],
        source_tokens=batch.source_tokens[numbers],
        source_lengths=batch.source_lengths[numbers],
        prefix_tokens=None if batch.prefix_tokens is None else batch.prefix_tokens[numbers],
        constraints=None if batch.constraints is None else [batch.constraints[number] for number in numbers],
    )


def assert_same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert len(found) == len(expected)
    for nbest, expected_nbest in zip(found, expected, strict=True):
        for ours, theirs in zip(nbest, expected_nbest, strict=True):
            assert ours.tokens.tolist() == theirs.tokens.tolist()
            assert ours.score == pytest.approx(theirs.score, abs=1e-5)
            torch.testing.assert_close(ours.positional_scores, theirs.positional_scores, atol=1e-5, rtol=1e-5)
