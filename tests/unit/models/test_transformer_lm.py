from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from seqexp.catalog import schemas
from seqexp.config.command import config_dir, register, typed
from seqexp.models.base import ModelConfig
from seqexp.models.transformer_decoder import AdaptiveSoftmaxConfig
from seqexp.models.transformer_lm import AdaptiveInputConfig, TieAdaptive, TransformerLM, TransformerLMConfig
from seqexp.models.transformer_stack import Positions
from seqexp.modules.activations import Activation
from seqexp.modules.adaptive import AdaptiveInput, AdaptiveSoftmax

NUM_WORDS, NUM_POSITIONS = 70_000, 1024


def preset(name: str) -> TransformerLMConfig:
    register("model_preset", ModelConfig, schemas("model"))
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return typed(compose(overrides=[f"+model={name}"]).model, TransformerLMConfig)


def build(config: TransformerLMConfig, num_words: int = NUM_WORDS) -> TransformerLM:
    with torch.device("meta"):  # shapes only: nothing is allocated
        return TransformerLM(config, vocabulary_size=num_words, padding_index=1)


def num_parameters(config: TransformerLMConfig, num_words: int = NUM_WORDS) -> int:
    return sum(parameter.numel() for parameter in build(config, num_words).parameters())


def in_layers(num_layers: int, size: int, ffn_size: int, num_norms: int = 0) -> int:
    """Parameters of the layers and of `num_norms` LayerNorms after the last."""
    attention = 4 * (size * size + size)
    feed_forward = size * ffn_size + ffn_size + ffn_size * size + size
    return num_layers * (attention + feed_forward + 4 * size) + num_norms * 2 * size


GELU, RELU = Activation.gelu, Activation.relu
# Layers, width, feed-forward width, heads; dropout on outputs, attention weights and activations; activation; tables
# of words; LayerNorms after the last layer; whether positions are learned.
PRESETS: dict[str, tuple[tuple[int, int, int, int], tuple[float, float, float], Activation, int, int, bool]] = {
    "transformer_lm": ((2, 128, 512, 4), (0.1, 0, 0), RELU, 1, 1, False),
    "transformer_lm_base": ((6, 512, 2048, 8), (0.1, 0, 0), RELU, 2, 0, False),
    "transformer_lm_big": ((12, 1024, 4096, 16), (0.1, 0, 0), RELU, 2, 1, False),
    "transformer_lm_gbw": ((12, 512, 4096, 16), (0.1, 0.1, 0), RELU, 2, 0, False),
    "transformer_lm_baevski_gbw": ((12, 512, 4096, 16), (0.1, 0.1, 0), RELU, 2, 0, False),
    "transformer_lm_gpt": ((12, 768, 3072, 12), (0.1, 0.1, 0), GELU, 2, 1, False),
    "transformer_lm_gpt2_small": ((24, 1024, 4096, 16), (0.1, 0.1, 0), GELU, 2, 1, False),
    "transformer_lm_gpt2_tiny": ((2, 64, 64, 1), (0.1, 0.1, 0), GELU, 2, 1, False),
    "transformer_lm_gpt2_medium": ((36, 1280, 5120, 20), (0.1, 0.1, 0), GELU, 2, 1, False),
    "transformer_lm_gpt2_big": ((48, 1600, 6400, 25), (0.1, 0.1, 0), GELU, 2, 1, False),
    "transformer_lm_gpt2_big_wide": ((24, 2048, 8192, 32), (0.1, 0.1, 0), GELU, 2, 1, False),
    "transformer_lm_gpt2_bigger": ((48, 2048, 8192, 32), (0.1, 0.1, 0), GELU, 2, 1, False),
    "transformer_lm_gpt3_small": ((12, 768, 3072, 12), (0, 0, 0), GELU, 1, 1, True),
    "transformer_lm_gpt3_medium": ((24, 1024, 4096, 16), (0, 0, 0), GELU, 1, 1, True),
    "transformer_lm_gpt3_large": ((24, 1536, 6144, 16), (0, 0, 0), GELU, 1, 1, True),
    "transformer_lm_gpt3_xl": ((24, 2048, 8192, 32), (0, 0, 0), GELU, 1, 1, True),
    "transformer_lm_gpt3_2_7": ((32, 2560, 10240, 32), (0, 0, 0), GELU, 1, 1, True),
    "transformer_lm_gpt3_6_7": ((32, 4096, 16384, 32), (0, 0, 0), GELU, 1, 1, True),
    "transformer_lm_gpt3_13": ((40, 5120, 20480, 40), (0, 0, 0), GELU, 1, 1, True),
    "transformer_lm_gpt3_175": ((96, 12288, 49152, 96), (0, 0, 0), GELU, 1, 1, True),
}


@pytest.mark.parametrize("name", PRESETS)
def test_preset(name: str) -> None:
    (num_layers, size, ffn_size, num_heads), dropouts, activation, num_tables, num_norms, learned = PRESETS[name]
    config = preset(name)
    expected = in_layers(num_layers, size, ffn_size, num_norms) + num_tables * NUM_WORDS * size
    # fairseq's tables of positions have two rows more, which no token uses.
    expected += NUM_POSITIONS * size if learned else 0
    assert num_parameters(config) == expected
    assert (config.dropout, config.attention_dropout, config.activation_dropout) == dropouts
    assert config.num_heads == num_heads
    assert config.activation is activation
    assert config.normalize_before == (name != "transformer_lm_base")


@pytest.mark.parametrize("name", ["transformer_lm_wiki103", "transformer_lm_baevski_wiki103"])
def test_wiki103(name: str) -> None:
    config, num_words = preset(name), 267_744
    words = 20_000 * 1024 + 40_000 * 256 + (num_words - 60_000) * 64
    projections = 1024 * (1024 + 256 + 64) + 2 * 1024
    found = num_parameters(config, num_words)
    assert found == in_layers(16, 1024, 4096) + words + projections
    assert round(found / 1e6) == 247  # as the paper says: Baevski and Auli 2018, table 2
    assert (config.dropout, config.attention_dropout, config.activation_dropout) == (0.3, 0.1, 0.1)
    assert config.adaptive_softmax.dropout == 0.2


def test_modern() -> None:
    """As the default, but narrower keys and values, a gate, no biases of norms."""
    config = preset("transformer_lm_modern")
    attention = 2 * (128 * 128 + 128) + 2 * (128 * 64 + 64)
    feed_forward = 2 * (128 * 344 + 344) + 344 * 128 + 128
    assert num_parameters(config) == 2 * (attention + feed_forward + 2 * 128) + 128 + NUM_WORDS * 128


def test_the_default_preset_states_no_difference() -> None:
    assert preset("transformer_lm") == TransformerLMConfig()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share_embeddings": True, "input_size": 8, "output_size": 4}, "input_size=8 equal to output_size=4"),
        ({"adaptive_softmax": AdaptiveSoftmaxConfig([10])}, "share_embeddings=True is not valid: it excludes"),
        ({"share_embeddings": False, "tie_adaptive": TieAdaptive.all}, "need the same cutoffs and factor"),
        (
            {
                "share_embeddings": False,
                "tie_adaptive": TieAdaptive.all,
                "adaptive_softmax": AdaptiveSoftmaxConfig([10]),
                "adaptive_input": AdaptiveInputConfig([10], 2),
            },
            "need the same cutoffs and factor",
        ),
        (
            {
                "share_embeddings": False,
                "tie_adaptive": TieAdaptive.embeddings,
                "adaptive_softmax": AdaptiveSoftmaxConfig([10]),
                "adaptive_input": AdaptiveInputConfig([10]),
                "input_size": 64,
            },
            "input_size and output_size must be hidden_size",
        ),
        ({"max_target_positions": 0}, "max_target_positions=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"num_heads": 3}, "num_heads=3"),
        ({"num_key_value_heads": 3}, "num_key_value_heads=3 is not valid: it must divide num_heads=4"),
        ({"hidden_size": 12, "positions": Positions.rotary}, "hidden_size / num_heads must be even"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TransformerLMConfig(**options)


@pytest.mark.parametrize("cutoffs", [[NUM_WORDS + 1], [20, 10], [0]])
def test_bands_must_fit_the_vocabulary(cutoffs: list[int]) -> None:
    config = TransformerLMConfig(share_embeddings=False, adaptive_softmax=AdaptiveSoftmaxConfig(cutoffs))
    with pytest.raises(ValueError, match=r"adaptive_softmax.cutoffs=.*vocabulary's 70000"):
        build(config)


@pytest.mark.parametrize(("tie", "projections"), [(TieAdaptive.embeddings, False), (TieAdaptive.all, True)])
def test_what_is_tied(tie: TieAdaptive, projections: bool) -> None:
    config = TransformerLMConfig(
        share_embeddings=False,
        adaptive_input=AdaptiveInputConfig([10, 20]),
        adaptive_softmax=AdaptiveSoftmaxConfig([10, 20]),
        tie_adaptive=tie,
    )
    decoder = build(config, 50).decoder
    words, output = decoder.embedding.tokens, decoder.output_projection
    assert isinstance(words, AdaptiveInput)
    assert isinstance(output, AdaptiveSoftmax)
    assert output.words.weight is words.band(0)[0].weight
    for band, tail in enumerate(output.tails, start=1):
        assert tail.words.weight is words.band(band)[0].weight
        assert (tail.projection is words.band(band)[1]) == projections
    assert build(config, 50).token_tensors() == {}
