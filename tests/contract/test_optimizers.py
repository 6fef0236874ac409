"""What holds for every optimizer."""

import importlib.util
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqexp.catalog import CATALOG, import_config
from seqexp.config.build import build
from seqexp.optimizers.adam import AdamConfig
from seqexp.optimizers.adamw import AdamWConfig
from seqexp.optimizers.adamw_8bit import AdamW8bitConfig
from seqexp.optimizers.base import OptimizerConfig, ParameterGroupConfig, SingleOptimizerConfig, weights_to_evaluate
from seqexp.optimizers.composite import CompositeConfig
from seqexp.optimizers.lion import LionConfig
from seqexp.optimizers.muon import MuonConfig
from seqexp.optimizers.parameter_groups import parameter_groups
from seqexp.optimizers.schedule_free import ScheduleFreeConfig

NO_DECAY = ["norm", "bias"]
RATES = {"adadelta": 3.0, "adafactor": 0.3, "sgd": 0.5, "nag": 0.02}
"""Where 0.05 does not suit."""


def group(parameters: list[str] | None, optimizer: SingleOptimizerConfig) -> ParameterGroupConfig:
    return ParameterGroupConfig(parameters=parameters, optimizer=optimizer)


def listed(name: str) -> OptimizerConfig:
    """The component of the catalog, with weight decay for some parameters."""
    config = import_config(CATALOG["optimizer"][name])()
    if isinstance(config, SingleOptimizerConfig):
        config.lr, config.weight_decay, config.no_decay = RATES.get(name, 0.05), 0.01, NO_DECAY
    if isinstance(config, AdamW8bitConfig):
        config.min_8bit_size = 16
    if isinstance(config, MuonConfig):
        rest = AdamWConfig(lr=0.05, weight_decay=0.01, no_decay=NO_DECAY)
        config.no_decay = []
        return CompositeConfig(groups={"matrices": group(["hidden_matrix"], config), "rest": group(None, rest)})
    if isinstance(config, CompositeConfig):
        rules = {"a": group(["norm"], ScheduleFreeConfig(lr=0.05)), "b": group(["embedding"], AdamConfig(lr=0.05))}
        config.groups = {**rules, "rest": group(None, LionConfig(lr=0.01, weight_decay=0.1, no_decay=["bias"]))}
    assert isinstance(config, OptimizerConfig)
    return config


OPTIMIZERS = sorted(CATALOG["optimizer"])


class Small(nn.Module):
    """Parameters of one and two dimensions, tables, norms, and one that gets no gradient at first."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(11, 8)
        self.hidden = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)
        self.late = nn.Linear(8, 8)
        self.output = nn.Linear(8, 11)

    def forward(self, tokens: Tensor, update: int) -> Tensor:
        x = self.hidden(self.table(tokens))
        if update > 1:
            x = x + self.late(x)
        logits: Tensor = self.output(self.norm(x).relu())
        return logits


class Run:
    """A model and what trains it."""

    def __init__(self, config: OptimizerConfig) -> None:
        self.model = Small()
        self.optimizer: torch.optim.Optimizer = build(config, params=parameter_groups(self.model, config))
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def update(self, number: int) -> float:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * min(1.0, number / 3)  # from 0, as a warm-up does
        tokens = torch.arange(11)
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(tokens, number), tokens)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def saved(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and state as a checkpoint has them."""
        file = io.BytesIO()
        with weights_to_evaluate(self.optimizer):
            weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            torch.save(self.optimizer.state_dict(), file)
        file.seek(0)
        return weights, torch.load(file, weights_only=True)

    def load(self, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.model.load_state_dict(weights)
        self.optimizer.load_state_dict(state)


@pytest.fixture(params=OPTIMIZERS)
def make(request: pytest.FixtureRequest) -> Callable[[], Run]:
    if request.param == "adamw_8bit" and importlib.util.find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed")
    return lambda: Run(listed(request.param))


def assert_same(one: Run, other: Run) -> None:
    for (name, expected), value in zip(one.model.named_parameters(), other.model.parameters(), strict=True):
        assert torch.equal(value, expected), name


def test_it_learns(make: Callable[[], Run]) -> None:
    run = make()
    losses = [run.update(number) for number in range(120)]
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("at", [0, 1, 2, 5])
def test_an_interruption_changes_nothing(make: Callable[[], Run], at: int) -> None:
    whole, before, after = make(), make(), make()
    for number in range(at):
        whole.update(number)
        before.update(number)
    after.load(*before.saved())
    for number in range(at, 8):
        whole.update(number)
        after.update(number)
    assert_same(whole, after)


def test_it_goes_back_to_an_earlier_state(make: Callable[[], Run]) -> None:
    """As a rollback asks of it."""
    run, expected = make(), make()
    for number in range(3):
        run.update(number)
        expected.update(number)
    saved = run.saved()
    for number in range(3, 6):
        run.update(number)
    run.load(*saved)
    run.update(3)
    expected.update(3)
    assert_same(expected, run)


def test_evaluation_changes_nothing(make: Callable[[], Run]) -> None:
    run, expected = make(), make()
    for number in range(6):
        with weights_to_evaluate(run.optimizer), weights_to_evaluate(run.optimizer):
            pass
        run.update(number)
        expected.update(number)
    assert_same(expected, run)


def test_each_group_has_its_rate(make: Callable[[], Run]) -> None:
    run = make()
    run.update(3)
    before = {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}
    run.rates = [0.0, *run.rates[1:]]
    run.update(4)
    still = set(run.optimizer.param_groups[0]["params"])
    moved = {parameter for name, parameter in run.model.named_parameters() if not torch.equal(parameter, before[name])}
    assert len(run.rates) > 1
    assert moved == set(run.model.parameters()) - still


def test_parameters_are_numbered_in_the_order_of_the_groups(make: Callable[[], Run]) -> None:
    run = make()
    groups = run.optimizer.param_groups
    saved = run.optimizer.state_dict()["param_groups"]
    assert [set(group) for group in saved] == [set(group) for group in groups]
    numbers = [number for group in saved for number in group["params"]]
    assert numbers == list(range(len(list(run.model.parameters()))))
