"""A transformer as CTranslate2 has it gives the scores that it gives here, or is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.config.base import OptionError
from seqexp.data.vocabulary import Vocabulary
from seqexp.formats.base import Vocabularies
from seqexp.formats.checked import own_scores, random_batch, write_checked
from seqexp.formats.ctranslate2 import CTranslate2Format, Quantization, open_translator
from seqexp.models.transformer import ShareEmbeddings
from seqexp.models.transformer_stack import Positions
from seqexp.modules.activations import Activation
from seqexp.runtime.errors import UserError

from .conftest import MakeTransformer

pytest.importorskip("ctranslate2", reason="needs the extra ctranslate2")

POST: dict[str, Any] = {"normalize_before": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "pre_norm": {"sharing": ShareEmbeddings.all},
    "post_norm_learned": {
        "encoder": {**POST, "positions": Positions.learned},
        "decoder": {**POST, "positions": Positions.learned},
        "sharing": ShareEmbeddings.decoder,
        "activation": Activation.gelu,
        "normalize_embeddings": True,
        "scale_embeddings": False,
    },
    "widths_and_projections": {
        "encoder": {"hidden_size": 24, "num_layers": 2, "num_heads": 3},
        "decoder": {"input_size": 12, "output_size": 20, "final_norm": False, **POST},
        "activation": Activation.silu,
    },
    "no_positions": {
        "encoder": {"positions": Positions.none},
        "decoder": {"positions": Positions.none, "final_norm": False},
        "activation": Activation.gelu_tanh,
    },
    "tanh": {"activation": Activation.tanh},
}
INEXPRESSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"activation": Activation.relu_squared}, "model.activation=relu_squared"),
    ({"decoder": {"cross_self_attention": True}}, "model.decoder.cross_self_attention=True"),
    ({"decoder": {"cross_attention": False, "cross_self_attention": True}}, "model.decoder.cross_"),
    ({"decoder": {"scale_heads": True}}, "model.decoder.scale_heads=True"),
    ({"decoder": {"positions": Positions.alibi}}, "model.decoder.positions=alibi"),
    ({"encoder": {"num_key_value_heads": 1}}, "model.encoder.num_key_value_heads=1"),
    ({"encoder": {"gated_ffn": True}}, "model.encoder.gated_ffn=True"),
    ({"decoder": {"num_layers": 0}}, "model.decoder.num_layers=0"),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_are_the_models(
    variant: str, make_transformer: MakeTransformer, vocabularies: Vocabularies, tmp_path: Path
) -> None:
    model = make_transformer(**VARIANTS[variant])
    batch = random_batch(vocabularies, model)
    agreement = write_checked(CTranslate2Format(), model, vocabularies, tmp_path, batch)
    assert agreement.num_tokens == batch.num_targets
    assert agreement.largest_difference < 1e-4
    assert {path.name for path in tmp_path.iterdir()} == {"model.bin", "config.json", "shared_vocabulary.json"}


def test_eight_bits(make_transformer: MakeTransformer, vocabularies: Vocabularies, tmp_path: Path) -> None:
    model = make_transformer()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batch = random_batch(vocabularies, model)
    form = CTranslate2Format(Quantization.int8)
    assert 1e-5 < write_checked(form, model, vocabularies, tmp_path, batch).mean_difference < form.tolerance
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("options", "message"), INEXPRESSIBLE)
def test_what_cannot_be_expressed_is_named(
    options: dict[str, Any], message: str, make_transformer: MakeTransformer, vocabularies: Vocabularies, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=message):
        CTranslate2Format().write(make_transformer(**options), vocabularies, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_token_that_is_there_twice(make_transformer: MakeTransformer, tmp_path: Path) -> None:
    words = Vocabulary()
    words.add("same")
    words.add("same", overwrite=True)
    with pytest.raises(UserError, match="the token 'same' twice"):
        CTranslate2Format().write(make_transformer(), Vocabularies(words, words), tmp_path)


def test_a_difference_is_noticed(make_transformer: MakeTransformer, vocabularies: Vocabularies, tmp_path: Path) -> None:
    class Wrong(CTranslate2Format):
        def write(self, model: Any, vocabularies: Vocabularies, directory: Path) -> None:
            model.decoder.output_projection.weight.data *= 1.01
            super().write(model, vocabularies, directory)

    model = make_transformer()
    with pytest.raises(UserError, match=r"what was exported is not the model: .* more than 0.001"):
        write_checked(Wrong(), model, vocabularies, tmp_path, random_batch(vocabularies, model))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="CTranslate2 cannot open it"):
        open_translator(tmp_path)


def test_the_batch_of_random_tokens(make_transformer: MakeTransformer, vocabularies: Vocabularies) -> None:
    model = make_transformer()
    batch = random_batch(vocabularies, model)
    assert torch.equal(batch.source_tokens, random_batch(vocabularies, model).source_tokens)
    assert sum(map(len, own_scores(model, batch, 1))) == batch.num_targets
    assert batch.source_tokens.ne(1).sum(dim=1).tolist() == batch.source_lengths.tolist()
