import logging

import pytest
from torch import nn

from seqexp.runtime.errors import UserError
from seqexp.training.freezing import freeze

from .conftest import TinyModel


def frozen(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if not parameter.requires_grad]


def test_patterns(caplog: pytest.LogCaptureFixture) -> None:
    model = TinyModel()
    with caplog.at_level(logging.INFO):
        freeze(model, ["embedding.*", "*.bias"])
    assert frozen(model) == ["embedding.weight", "hidden.bias", "output.bias"]
    assert caplog.messages == ["frozen: 107 of 259 parameters"]


def test_no_pattern() -> None:
    model = TinyModel()
    freeze(model, [])
    assert frozen(model) == []


def test_a_shared_parameter_goes_by_each_of_its_names() -> None:
    model = TinyModel()
    model.output.weight = model.embedding.weight
    freeze(model, ["output.weight"])
    assert frozen(model) == ["embedding.weight"]


def test_a_pattern_without_a_match_names_near_ones() -> None:
    with pytest.raises(
        UserError, match=r"^freeze=embeding.\* matches no parameter of the model; did you mean embedding"
    ):
        freeze(TinyModel(), ["embeding.*"])
    with pytest.raises(UserError, match=r"freeze=hidden.wieght .* did you mean hidden.weight"):
        freeze(TinyModel(), ["output.*", "hidden.wieght"])
    with pytest.raises(UserError, match=r"freeze=x .*; there are embedding.weight, hidden.weight, hidden.bias, \.\.\."):
        freeze(TinyModel(), ["x"])


def test_something_must_be_left() -> None:
    with pytest.raises(UserError, match=r"freeze=hidden.\*,\*t\* leaves nothing"):
        freeze(TinyModel(), ["hidden.*", "*t*"])
