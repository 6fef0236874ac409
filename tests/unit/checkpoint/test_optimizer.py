"""The state of optimizers by names."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from seqexp.checkpoint.optimizer import OptimizerState, load_optimizer, names_of, optimizer_content
from seqexp.checkpoint.tensors import Part, Tensors, TensorsInMemory
from seqexp.config.build import build
from seqexp.optimizers.adafactor import AdafactorConfig
from seqexp.optimizers.base import SingleOptimizerConfig, weights_to_evaluate
from seqexp.optimizers.lion import LionConfig
from seqexp.optimizers.muon import MuonConfig
from seqexp.optimizers.schedule_free import ScheduleFreeConfig
from seqexp.runtime.errors import UserError


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def train(model: nn.Module, optimizer: Optimizer, updates: int) -> None:
    generator = torch.Generator().manual_seed(updates)
    for _ in range(updates):
        optimizer.zero_grad()
        model(torch.randn(5, 3, generator=generator)).square().sum().backward()
        optimizer.step()


def saved(optimizer: Optimizer, model: nn.Module) -> OptimizerState:
    """As it comes back from a file."""
    document, parts = optimizer_content(optimizer, names_of(model))
    tensors = TensorsInMemory({name: part.tensor.clone() for name, part in parts.items()})
    return OptimizerState.of(json.loads(json.dumps(document)), tensors)


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: Adam(parameters, lr=0.01, fused=True),
        lambda parameters: AdamW(parameters, lr=0.01, amsgrad=True),
        lambda parameters: SGD(parameters, lr=0.01, momentum=0.9),
        lambda parameters: SGD(parameters, lr=0.01),
        lambda parameters: torch.optim.RMSprop(parameters, lr=0.01, centered=True, momentum=0.5),
    ],
    ids=["adam", "adamw", "momentum", "sgd", "rmsprop"],
)
def test_training_goes_on_bit_for_bit(make: Callable[[Any], Optimizer]) -> None:
    one, other = make_model(), make_model()
    optimizers = make(one.parameters()), make(other.parameters())
    train(one, optimizers[0], 3)
    other.load_state_dict(one.state_dict())
    load_optimizer(optimizers[1], names_of(other), saved(optimizers[0], one), "here")
    for model, optimizer in zip((one, other), optimizers, strict=True):
        train(model, optimizer, 4)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("config", [LionConfig(), AdafactorConfig(), ScheduleFreeConfig(), MuonConfig()])
def test_one_that_was_loaded_is_saved_and_loaded_again(config: SingleOptimizerConfig) -> None:
    """torch adds an option to an optimizer that is loaded; another uses up at once what it loads."""
    model = nn.Linear(3, 4, bias=False)
    first, second, third = (build(config, params=list(model.parameters())) for _ in range(3))
    train(model, first, 2)
    with weights_to_evaluate(first):
        load_optimizer(second, names_of(model), saved(first, model), "first")
    with weights_to_evaluate(second):
        load_optimizer(third, names_of(model), saved(second, model), "second")
    (one,), (other,) = first.state.values(), third.state.values()
    assert one.keys() == other.keys() != set()
    for key, value in one.items():
        assert torch.equal(torch.as_tensor(other[key]), torch.as_tensor(value))


def test_order_and_groups_do_not_matter() -> None:
    """Biases in a group of their own, and the other way round."""
    one, other = make_model(), make_model()
    first = Adam(one.parameters(), lr=0.01)
    train(one, first, 3)
    other.load_state_dict(one.state_dict())
    biases = [p for p in other.parameters() if p.ndim == 1]
    matrices = [p for p in other.parameters() if p.ndim == 2]
    second = Adam([{"params": biases, "weight_decay": 0.5}, {"params": reversed(matrices)}], lr=0.02)
    load_optimizer(second, names_of(other), saved(first, one), "here")
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert first.state[a].keys() == second.state[b].keys()
        assert all(torch.equal(first.state[a][key], second.state[b][key]) for key in first.state[a])
    assert [(group["lr"], group["weight_decay"]) for group in second.param_groups] == [(0.02, 0.5), (0.02, 0.0)]


def test_state_in_another_format_than_the_parameter_stays_exact() -> None:
    one, other = make_model().bfloat16(), make_model().bfloat16()
    first, second = Adam(one.parameters()), Adam(other.parameters())
    for parameter in one.parameters():
        first.state[parameter] = {"step": torch.tensor(3.0), "exp_avg": torch.full(parameter.shape, 1 / 3)}
    load_optimizer(second, names_of(other), saved(first, one), "here")
    for parameter in other.parameters():
        assert second.state[parameter]["exp_avg"].dtype == torch.float32
        assert second.state[parameter]["exp_avg"].flatten()[0] == torch.tensor(1 / 3)


def test_each_process_may_hold_and_read_a_part() -> None:
    one = make_model()
    optimizer = Adam(one.parameters())
    train(one, optimizer, 2)
    _, halves = optimizer_content(optimizer, names_of(one), lambda t: Part(t[:2], 0, tuple(t.shape)))
    assert halves["0.weight//exp_avg"].tensor.shape == (2, 3)
    assert halves["0.weight//exp_avg"].full_shape == (4, 3)

    def read(tensors: Tensors, name: str, parameter: nn.Parameter) -> torch.Tensor:
        return tensors.read(name, 0, len(parameter))

    rows = nn.Sequential(nn.Linear(3, 2), nn.Linear(4, 1))
    second = Adam(rows.parameters())
    load_optimizer(second, names_of(rows), saved(optimizer, one), "here", read)
    assert torch.equal(second.state[rows[0].weight]["exp_avg"], optimizer.state[one[0].weight]["exp_avg"][:2])


def test_other_parameters_are_named() -> None:
    model = make_model()
    state = saved(Adam(model.parameters()), model)
    model[0].weight.requires_grad_(False)
    trained = Adam([p for p in model.parameters() if p.requires_grad])
    with pytest.raises(
        UserError, match=r"^here: its optimizer state has other parameters \(0\.weight\); .*finetune_from$"
    ):
        load_optimizer(trained, names_of(model), state, "here")


def test_another_optimizer_is_refused() -> None:
    model = make_model()
    with pytest.raises(UserError, match=r"^here: its optimizer state is not one of SGD$"):
        load_optimizer(SGD(model.parameters(), lr=1.0), names_of(model), saved(Adam(model.parameters()), model), "here")


def test_what_has_no_place_in_a_file_is_refused() -> None:
    model = make_model()
    optimizer = SGD(model.parameters(), lr=1.0)
    optimizer.state[model[0].weight]["hook"] = print
    with pytest.raises(TypeError, match="cannot be saved"):
        optimizer_content(optimizer, names_of(model))
