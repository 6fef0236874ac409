from typing import Any

import pytest
import torch
from torch import nn

from seqexp.config.build import build
from seqexp.lr_schedulers.constant import ConstantConfig
from seqexp.lr_schedulers.pass_through import PassThroughConfig
from seqexp.lr_schedulers.step import StepConfig
from seqexp.optimizers.adamw import AdamWConfig
from seqexp.optimizers.base import ParameterGroupConfig
from seqexp.optimizers.composite import CompositeConfig
from seqexp.optimizers.parameter_groups import parameter_groups
from seqexp.optimizers.sgd import SGDConfig
from seqexp.runtime.errors import UserError
from seqexp.training.schedules import build_schedules


def config(**schedules: Any) -> CompositeConfig:
    """Weights by AdamW with a rate of 0.1, biases by SGD with 0.5."""
    weights = ParameterGroupConfig(None, AdamWConfig(lr=0.1), schedules.get("weights"))
    biases = ParameterGroupConfig(["bias"], SGDConfig(lr=0.5, momentum=0.9), schedules.get("biases"))
    return CompositeConfig(groups={"weights": weights, "biases": biases})


def model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def test_each_group_is_trained_as_by_its_optimizer_alone() -> None:
    together, apart = model(), model()
    composite = build(config(), params=parameter_groups(together, config()))
    alone = [torch.optim.AdamW([apart.weight], lr=0.1, betas=(0.9, 0.98)), torch.optim.SGD([apart.bias], 0.5, 0.9)]
    inputs = torch.randn(5, 3)
    for _ in range(4):
        for trained, optimizers in ((together, [composite]), (apart, alone)):
            trained.zero_grad()
            trained(inputs).square().sum().backward()
            for optimizer in optimizers:
                optimizer.step()
    torch.testing.assert_close(together.weight, apart.weight)
    torch.testing.assert_close(together.bias, apart.bias)


def test_groups_follow_the_schedule_of_the_run_from_their_own_peak() -> None:
    schedules = build_schedules(StepConfig(period_updates=1, decay=0.5), config(), None)
    assert schedules.rates_at(1) == {"weights": 0.05, "biases": 0.25}
    assert schedules.lr_at(1) == 0.25


def test_a_group_may_have_a_schedule_of_its_own() -> None:
    own = config(biases=StepConfig(period_updates=1, decay=0.1))
    schedules = build_schedules(ConstantConfig(warmup_updates=4), own, None)
    assert schedules.rates_at(1) == pytest.approx({"weights": 0.025, "biases": 0.05})
    both = config(biases=ConstantConfig(), weights=ConstantConfig())
    assert build_schedules(PassThroughConfig(), both, None).rates_at(0) == {"weights": 0.1, "biases": 0.5}


def test_no_schedule_is_ignored() -> None:
    both = config(biases=ConstantConfig(), weights=ConstantConfig())
    with pytest.raises(UserError, match=r"every one of optimizer.groups has an lr_scheduler of its own: give lr_sched"):
        build_schedules(ConstantConfig(), both, None)
    with pytest.raises(UserError, match="pass_through gives no rate"):
        build_schedules(PassThroughConfig(), config(biases=ConstantConfig()), None)


def test_the_state_is_numbered_through_all_groups() -> None:
    trained = model()
    composite = build(config(), params=parameter_groups(trained, config()))
    trained(torch.randn(5, 3)).square().sum().backward()
    composite.step()
    state = composite.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0], [1]]
    assert set(state["state"][0]) == {"momentum_buffer"}
    assert set(state["state"][1]) == {"step", "exp_avg", "exp_avg_sq"}
    assert composite.state[trained.bias] is composite.optimizers[0].state[trained.bias]
