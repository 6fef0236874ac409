from typing import Any

import pytest
import torch
from torch import nn

from seqexp.config.build import build
from seqexp.models.transformer import ShareEmbeddings, Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.optimizers.adamw import AdamWConfig
from seqexp.optimizers.base import ParameterGroupConfig
from seqexp.optimizers.composite import CompositeConfig
from seqexp.optimizers.muon import MuonConfig
from seqexp.optimizers.parameter_groups import parameter_groups
from seqexp.optimizers.selection import select
from seqexp.optimizers.sgd import SGDConfig
from seqexp.runtime.errors import UserError

SIDE: dict[str, Any] = {"num_layers": 1, "hidden_size": 8, "ffn_size": 12, "num_heads": 2}


def transformer(share: ShareEmbeddings = ShareEmbeddings.all) -> Transformer:
    config = TransformerConfig(encoder=EncoderConfig(**SIDE), decoder=DecoderConfig(**SIDE), share_embeddings=share)
    built: Transformer = build(config, source_vocabulary_size=23, target_vocabulary_size=23, padding_index=1)
    return built


def names(model: nn.Module, *patterns: str) -> set[str]:
    chosen = select(model, patterns, "option")
    return {name for name, parameter in model.named_parameters() if parameter in chosen}


@pytest.mark.parametrize("share", [ShareEmbeddings.all, ShareEmbeddings.none])
def test_kinds(share: ShareEmbeddings) -> None:
    model = transformer(share)
    everything = dict(model.named_parameters())
    norms, biases = names(model, "norm"), names(model, "bias")
    assert norms == {name for name in everything if "norm" in name}
    assert biases == {name for name in everything if name.endswith("bias")}
    hidden, tables = names(model, "hidden_matrix"), names(model, "embedding")
    assert tables == {name for name in everything if "tokens" in name}
    assert all("attention" in name or "feed_forward" in name for name in hidden)
    projections = {name for name in everything if "output_projection" in name}
    assert bool(projections) is (share is ShareEmbeddings.none)
    assert norms | biases | hidden | tables | projections == set(everything)
    assert not hidden & (tables | projections)


def names_in(model: nn.Module, group: dict[str, Any]) -> list[str]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return [names[parameter] for parameter in group["params"]]


def test_a_kind_may_be_absent_and_a_pattern_may_not() -> None:
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    assert names(model, "norm", "bias", "embedding") == set()
    with pytest.raises(UserError, match=r"^optimizer.no_decay=1.weight matches no parameter .* did you mean 0.weight"):
        parameter_groups(model, AdamWConfig(no_decay=["1.weight"]))


def test_without_patterns_there_is_one_group_in_the_models_order() -> None:
    model = transformer()
    model.encoder.requires_grad_(False)
    (group,) = parameter_groups(model, AdamWConfig())
    assert group["params"] == [p for p in model.parameters() if p.requires_grad]
    assert set(group) == {"params"}


def test_no_decay_makes_a_group_that_does_not_shrink() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    groups = parameter_groups(model, SGDConfig(no_decay=["norm", "bias"], weight_decay=0.5))
    assert [names_in(model, group) for group in groups] == [["0.weight"], ["0.bias", "1.weight", "1.bias"]]
    optimizer = build(SGDConfig(no_decay=["norm", "bias"], weight_decay=0.5, lr=0.1), params=groups)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 0.95 if name == "0.weight" else 1.0
        torch.testing.assert_close(parameter.detach(), factor * before[name])


def test_everything_without_decay_is_one_group() -> None:
    (group,) = parameter_groups(transformer(), AdamWConfig(no_decay=["*"]))
    assert group["weight_decay"] == 0


def composite(**groups: list[str] | None) -> CompositeConfig:
    config = {
        name: ParameterGroupConfig(parameters=patterns, optimizer=SGDConfig()) for name, patterns in groups.items()
    }
    return CompositeConfig(groups=config)


def test_groups_with_an_optimizer_each() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    config = composite(rest=None, biases=["bias"])
    config.groups["rest"].optimizer.no_decay = ["norm"]
    groups = parameter_groups(model, config)
    assert [(g["name"], names_in(model, g)) for g in groups] == [
        ("biases", ["0.bias", "1.bias"]),
        ("rest", ["0.weight"]),
        ("rest", ["1.weight"]),
    ]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, None),
        ({"a": ["bias"]}, r"optimizer.groups: 0.weight is in none; a group without `parameters` takes all the rest"),
        ({"a": ["bias"], "b": ["0.*"], "c": None}, r"optimizer.groups: 0.bias is in a and in b"),
        ({"a": None, "b": None}, r"optimizer.groups: a and b have no `parameters`; only one can have all the rest"),
        ({"a": ["*"], "b": None}, r"optimizer.groups.b: no parameter that is trained is in it"),
        ({"a": ["2.*"], "b": None}, r"optimizer.groups.a.parameters=2.\* matches no parameter"),
    ],
)
def test_groups_that_are_no_partition(groups: dict[str, list[str] | None], message: str | None) -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(UserError, match=message or "optimizer.groups is empty"):
        parameter_groups(model, composite(**groups))


def test_a_pattern_without_effect_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    config = composite(rest=None, biases=["bias"])
    config.groups["rest"].optimizer.no_decay = ["norm", "bias", "0.bias"]
    with pytest.raises(UserError, match=r"^optimizer.groups.rest.optimizer.no_decay=0.bias matches none of the param"):
        parameter_groups(model, config)


def test_muon_is_for_matrices() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(UserError, match="Muon only supports 2D parameters"):
        build(MuonConfig(), params=parameter_groups(model, MuonConfig()))
