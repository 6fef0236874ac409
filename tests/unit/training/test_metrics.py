import json
import math

import pytest
import torch

from seqexp.training.metrics import MetricBag


def test_means_are_weighted_by_their_counts() -> None:
    bag = MetricBag()
    bag.add({"loss": torch.tensor(10.0), "nll_loss": torch.tensor(5.0)}, 4)
    bag.add({"loss": torch.tensor(20.0), "nll_loss": torch.tensor(10.0)}, 6)
    bag.add({"gradient_norm": 3.0}, 1)
    means = bag.means()
    assert means["loss"] == 3.0
    assert means["gradient_norm"] == 3.0
    assert means["perplexity"] == pytest.approx(math.exp(1.5))


def test_perplexity_comes_from_the_loss_where_there_is_no_other_and_may_be_infinite() -> None:
    bag = MetricBag()
    bag.add({"loss": 2.0}, 1)
    assert bag.means()["perplexity"] == pytest.approx(math.exp(2))
    bag.add({"loss": 1e6}, 1)
    assert bag.means()["perplexity"] == math.inf


def test_the_state_keeps_every_bit_through_json() -> None:
    bag, other = MetricBag(), MetricBag()
    for part in range(1, 50):
        bag.add({"loss": torch.tensor(1.0 / part)}, part)
    other.load(json.loads(json.dumps(bag.state())))
    for each in (bag, other):
        each.add({"loss": torch.tensor(0.1)}, 3)
    assert bag.means() == other.means()
    bag.clear()
    assert bag.means() == {}
