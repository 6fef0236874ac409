"""What needs no second process; the algorithms are checked with two, in tests/integration/averaging.py."""

from typing import Any

import pytest
import torch
from torch import nn

from seqexp.config.build import build
from seqexp.distributed.local_sgd import LocalSGD, LocalSGDConfig, OuterOptimizer
from seqexp.distributed.world import World
from seqexp.runtime.errors import UserError

ALONE = World(torch.device("cpu"))


class Two(World):
    """Sees another process that has the same as this one."""

    size = 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period": 0}, r"^period=0 is not valid: a count above 0"),
        ({"start_update": -1}, r"^start_update=-1 is not valid"),
        ({"lr": 0.0}, r"^lr=0.0 is not valid"),
        ({"momentum": 1.0}, r"^momentum=1.0 is not valid: from 0 to below 1, or null"),
        ({"nesterov": True}, r"^nesterov=True is not valid: it needs a momentum above 0"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LocalSGDConfig(**options)


@pytest.mark.parametrize(("number", "momentum"), [(1, 0.0), (16, 0.0), (17, 0.2), (32, 0.2), (64, 0.5), (65, 0.6)])
def test_slow_momentum_by_the_number_of_processes(number: int, momentum: float) -> None:
    assert LocalSGDConfig(momentum=None).momentum_of(number) == momentum
    assert LocalSGDConfig(momentum=0.3).momentum_of(number) == 0.3


def test_a_rate_of_0_takes_the_average_as_it_is() -> None:
    config = LocalSGDConfig(momentum=0.5, divide_by_lr=True)
    outer = OuterOptimizer(config, 0.5, [torch.tensor([1.0]), torch.tensor([2.0])], [1, 1])
    assert [weight.item() for weight in outer.step([torch.tensor([0.0]), torch.tensor([1.0])], [0.0, 2.0])] == [0, 1]
    assert [weight.item() for weight in outer.step([torch.tensor([0.0]), torch.tensor([1.0])], [1.0, 2.0])] == [0, 0.5]


def test_of_one_process_the_outer_step_remains_and_goes_on_from_what_was_saved() -> None:
    config = LocalSGDConfig(period=2, start_update=1, momentum=0.5)

    def run(layout: LocalSGD, weight: nn.Parameter, updates: range) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD([weight], lr=1.0)
        for update in updates:
            layout.begin_update(update, optimizer)
            weight.grad = torch.ones_like(weight)
            optimizer.step()
            layout.updated(optimizer)
        return optimizer

    layout, weight = build(config, world=ALONE), nn.Parameter(torch.zeros(1))
    optimizer = run(layout, weight, range(4))
    assert weight.item() == -1 - 2 - 1  # after updates 0; 1 and 2; 3
    assert not layout.has_own_state
    saved = {key: value.clone() for key, value in layout.shared_state(optimizer)[weight].items()}
    assert {key: value.item() for key, value in saved.items()} == {"anchor": -3, "momentum": 2}
    other, copy = build(config, world=ALONE), nn.Parameter(weight.detach().clone())
    state = {copy: saved}
    other.restored(4, torch.optim.SGD([copy], lr=1.0), state, own_state=False, own_weights=False)
    run(layout, weight, range(4, 6))
    run(other, copy, range(4, 6))
    assert weight.item() == copy.item() == -3 - (0.5 * 2 + 2) - 1


def test_processes_that_have_trained_apart_cannot_begin_by_averaging_gradients() -> None:
    layout: LocalSGD = build(LocalSGDConfig(start_update=9), world=Two(torch.device("cpu")))
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(UserError, match=r"^distributed.start_update=9 is not valid: processes have trained apart"):
        layout.restored(4, optimizer, {}, own_state=True, own_weights=True)
    layout.restored(9, optimizer, {}, own_state=True, own_weights=True)
    assert layout.is_local and layout.has_own_weights
