"""Sums and counts that become metrics when somebody looks."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from seqexp.distributed.world import World


class MetricBag:
    """Adds up what criterions return, without waiting for the device, until `means()` is asked for.

    Sums are kept in float64; `state()` and `load()` carry them exactly over an interruption.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, float] = {}

    def add(self, sums: Mapping[str, Tensor | float], count: float) -> None:
        """Add sums that share a count (of targets, of updates)."""
        for name, value in sums.items():
            value = torch.as_tensor(value).detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0.0) + count

    def means(self) -> dict[str, float]:
        """Each sum over its count; `perplexity` from `nll_loss`, or from `loss` where there is no other."""
        means = {name: value.item() / self._counts[name] for name, value in self._sums.items() if self._counts[name]}
        for name in ("nll_loss", "loss"):
            if name in means:
                means["perplexity"] = math.exp(means[name]) if means[name] < 700 else math.inf
                break
        return means

    def count(self, name: str) -> float:
        return self._counts.get(name, 0.0)

    def clear(self) -> None:
        self._sums.clear()
        self._counts.clear()

    def total(self, world: World) -> "MetricBag":
        """A bag with the sums and counts of all processes, the same in each of them."""
        total: dict[str, list[float]] = {}
        for state in world.gather(self.state()):
            for name, (value, count) in state.items():
                before = total.get(name, [0.0, 0.0])
                total[name] = [before[0] + value, before[1] + count]
        bag = MetricBag()
        bag.load(total)
        return bag

    def pool(self, world: World) -> None:
        """Hand everything over to the first process; afterwards the bags of the others are empty."""
        total = self.total(world)
        self.load(total.state() if world.is_first else {})

    def state(self) -> dict[str, list[float]]:
        """Plain numbers; JSON keeps every bit of a float64."""
        return {name: [value.item(), self._counts[name]] for name, value in self._sums.items()}

    def load(self, state: Mapping[str, list[float]]) -> None:
        self._sums = {name: torch.tensor(values[0], dtype=torch.float64) for name, values in state.items()}
        self._counts = {name: values[1] for name, values in state.items()}
