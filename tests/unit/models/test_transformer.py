from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from seqexp.catalog import schemas
from seqexp.config.command import config_dir, register, typed
from seqexp.models.base import ModelConfig
from seqexp.models.transformer import ShareEmbeddings, Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.models.transformer_stack import Positions

NUM_WORDS = 8000


def preset(name: str) -> TransformerConfig:
    register("model_preset", ModelConfig, schemas("model"))
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return typed(compose(overrides=[f"+model={name}"]).model, TransformerConfig)


def build(config: TransformerConfig, source_size: int = NUM_WORDS, target_size: int = NUM_WORDS) -> Transformer:
    with torch.device("meta"):  # shapes only: nothing is allocated
        return Transformer(
            config, source_vocabulary_size=source_size, target_vocabulary_size=target_size, padding_index=1
        )


def count(num_layers: int, size: int, ffn_size: int, num_tables: int, pre_norm: bool = False) -> int:
    """Parameters of a transformer whose two sides are alike, with sinusoidal positions."""
    attention = 4 * (size * size + size)
    feed_forward = size * ffn_size + ffn_size + ffn_size * size + size
    norm = 2 * size
    encoder_layer = attention + feed_forward + 2 * norm
    decoder_layer = 2 * attention + feed_forward + 3 * norm
    final_norms = 2 * norm if pre_norm else 0
    return num_layers * (encoder_layer + decoder_layer) + final_norms + num_tables * NUM_WORDS * size


# Layers, width, feed-forward width, LayerNorm before; embedding tables that are not shared, dropout on
# outputs, attention weights and activations; heads.
PRESETS: dict[str, tuple[tuple[int, int, int, bool], int, tuple[float, float, float], int]] = {
    "transformer": ((2, 128, 512, True), 1, (0.1, 0, 0), 4),
    "transformer_tiny": ((2, 64, 64, False), 3, (0.1, 0, 0), 2),
    "transformer_base": ((6, 512, 2048, False), 3, (0.1, 0, 0), 8),
    "transformer_iwslt_de_en": ((6, 512, 1024, False), 3, (0.1, 0, 0), 4),
    "transformer_wmt_en_de": ((6, 512, 2048, False), 3, (0.1, 0, 0), 8),
    "transformer_vaswani_wmt_en_de_big": ((6, 1024, 4096, False), 3, (0.3, 0, 0), 16),
    "transformer_vaswani_wmt_en_fr_big": ((6, 1024, 4096, False), 3, (0.1, 0, 0), 16),
    "transformer_wmt_en_de_big": ((6, 1024, 4096, False), 3, (0.3, 0.1, 0), 16),
    "transformer_wmt_en_de_big_t2t": ((6, 1024, 4096, True), 3, (0.3, 0.1, 0.1), 16),
}


@pytest.mark.parametrize("name", PRESETS)
def test_preset(name: str) -> None:
    (num_layers, size, ffn_size, pre_norm), num_tables, dropouts, num_heads = PRESETS[name]
    config = preset(name)
    num_parameters = sum(parameter.numel() for parameter in build(config).parameters())
    assert num_parameters == count(num_layers, size, ffn_size, num_tables, pre_norm)
    assert (config.dropout, config.attention_dropout, config.activation_dropout) == dropouts
    assert config.encoder.num_heads == config.decoder.num_heads == num_heads


def test_the_default_preset_states_no_difference() -> None:
    assert preset("transformer") == TransformerConfig()


def test_base_has_as_many_parameters_as_the_paper_says() -> None:
    """65 million with one table of 37,000 words (Vaswani et al. 2017, table 3)."""
    config = preset("transformer_base")
    config.share_embeddings = ShareEmbeddings.all
    num_parameters = sum(parameter.numel() for parameter in build(config, 37_000, 37_000).parameters())
    assert 63e6 < num_parameters < 65e6


def test_shared_tables_are_one() -> None:
    tables: dict[str, Any] = {}
    for sharing in ShareEmbeddings:
        model = build(TransformerConfig(share_embeddings=sharing))
        source, target = model.encoder.embedding.tokens.weight, model.decoder.embedding.tokens.weight
        output = model.decoder.output_projection.weight
        tables[sharing] = (source is target, target is output)
    assert tables == {"none": (False, False), "decoder": (False, True), "all": (True, True)}


@pytest.mark.parametrize(
    ("config", "sizes", "message"),
    [
        (
            TransformerConfig(share_embeddings=ShareEmbeddings.all),
            (10, 12),
            "share_embeddings=all is not valid: it needs a joint vocabulary, these have 10 and 12 symbols",
        ),
        (
            TransformerConfig(share_embeddings=ShareEmbeddings.all, decoder=DecoderConfig(hidden_size=64)),
            (10, 10),
            "share_embeddings=all is not valid: it needs encoder.hidden_size=128 equal to .* 64",
        ),
        (
            TransformerConfig(share_embeddings=ShareEmbeddings.decoder, decoder=DecoderConfig(output_size=64)),
            (10, 10),
            "share_embeddings=decoder is not valid: .*input_size=128 .*output_size=64",
        ),
        (
            TransformerConfig(
                share_embeddings=ShareEmbeddings.decoder,
                decoder=DecoderConfig(hidden_size=64, cross_self_attention=True),
            ),
            (10, 10),
            "decoder.cross_self_attention=True is not valid: .*encoder.hidden_size=128",
        ),
    ],
)
def test_options_that_do_not_go_together(config: TransformerConfig, sizes: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(config, *sizes)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (EncoderConfig, {"num_heads": 5}, "num_heads=5 is not valid: it must divide hidden_size=128"),
        (EncoderConfig, {"layerdrop": 1.0}, "layerdrop=1.0 is not valid"),
        (EncoderConfig, {"ffn_size": 0}, "ffn_size=0 is not valid: it must be positive"),
        (DecoderConfig, {"num_layers": -1}, "num_layers=-1 is not valid"),
        (DecoderConfig, {"input_size": 0}, "input_size=0 is not valid"),
        (TransformerConfig, {"dropout": 1.5}, "dropout=1.5 is not valid"),
        (TransformerConfig, {"max_target_positions": 0}, "max_target_positions=0 is not valid"),
    ],
)
def test_invalid_values(config: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(**options)


@pytest.mark.parametrize("positions", [Positions.sinusoidal, Positions.learned])
@pytest.mark.parametrize("side", ["source", "target"])
def test_too_long(positions: Positions, side: str) -> None:
    options: dict[str, Any] = {"num_layers": 1, "hidden_size": 8, "ffn_size": 8, "num_heads": 1, "positions": positions}
    config = TransformerConfig(
        encoder=EncoderConfig(**options),
        decoder=DecoderConfig(**options),
        max_source_positions=6,
        max_target_positions=5,
    )
    model = Transformer(config, source_vocabulary_size=9, target_vocabulary_size=9, padding_index=1)
    longest = {"source": 6, "target": 5}
    model.decode(torch.full((1, 5), 4), model.encode(torch.full((1, 6), 4), torch.tensor([6])))
    longest[side] += 1
    with pytest.raises(ValueError, match=rf"max_{side}_positions={longest[side] - 1} is too small .* {longest[side]} "):
        model.decode(
            torch.full((1, longest["target"]), 4),
            model.encode(torch.full((1, longest["source"]), 4), torch.tensor([longest["source"]])),
        )


def test_layerdrop_trains_a_part_of_the_layers() -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"num_layers": 8, "hidden_size": 8, "ffn_size": 8, "num_heads": 1, "layerdrop": 0.5}
    config = TransformerConfig(encoder=EncoderConfig(**options), decoder=DecoderConfig(**options), dropout=0)
    model = Transformer(config, source_vocabulary_size=9, target_vocabulary_size=9, padding_index=1)
    model.decode(torch.full((1, 5), 4), model.encode(torch.full((1, 6), 4), torch.tensor([6]))).logits.sum().backward()
    used = [
        layer.self_attention.output.bias.grad is not None for layer in (*model.encoder.layers, *model.decoder.layers)
    ]
    assert 0 < sum(used) < 16
