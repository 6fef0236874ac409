import time

import pytest
import torch

from seqexp.data.batch import PairBatch
from seqexp.data.batching import BatchLimits, EpochPlan, Order
from seqexp.training.config import BatchConfig
from seqexp.training.fit import FittedBatch, cut_update
from seqexp.training.probe import DoesNotFitError, Meter, Report, Search, enlarged

from .conftest import make_batch


class Needs:
    """Memory that grows with the size, and which sizes were tried."""

    def __init__(self, fixed: int, per_token: float, *, exists: int = 10**9) -> None:
        self.fixed, self.per_token, self.exists = fixed, per_token, exists
        self.tried: list[int] = []

    def __call__(self, size: int) -> int:
        self.tried.append(size)
        need = self.fixed + int(self.per_token * size)
        if need > self.exists:
            raise DoesNotFitError
        return need


def search(need: Needs, limit: int, least: int, most: int, seconds: float = 1e9) -> int | None:
    return Search(need, limit, time.monotonic() + seconds)(least, most)


def test_the_size_that_fills_the_memory() -> None:
    need = Needs(1000, 10)
    assert search(need, 21_000, 30, 10_000) == 2000
    assert need.tried == [30, 60, 120, 240, 480, 960, 1920, 2000]
    assert all(need.fixed + need.per_token * size <= 21_000 for size in need.tried)


def test_no_more_than_an_update_has() -> None:
    need = Needs(0, 1)
    assert search(need, 10**6, 30, 100) == 100
    assert need.tried == [30, 60, 100]


def test_the_least_does_not_fit() -> None:
    assert search(Needs(5000, 10), 4000, 30, 1000) is None
    assert search(Needs(0, 10, exists=200), 4000, 30, 1000) is None


def test_memory_that_does_not_exist_is_found_out() -> None:
    """The limit was too high, as where another process has taken memory meanwhile."""
    need = Needs(0, 10, exists=3000)
    found = search(need, 10**6, 10, 10_000)
    assert found is not None
    assert 160 <= found <= 300


def test_needs_that_are_not_linear() -> None:
    class Square(Needs):
        def __call__(self, size: int) -> int:
            return super().__call__(size) + size**2

    found = search(Square(0, 1), 10**6, 10, 10**6)
    assert found is not None
    assert 900 <= found <= 1000


def test_a_flat_beginning_misleads_nobody() -> None:
    class Flat(Needs):
        def __call__(self, size: int) -> int:
            return max(5000, super().__call__(size))

    assert search(Flat(0, 10), 20_000, 1, 10**6) in range(1950, 2001)


def test_without_time_the_rest_is_reckoned_but_not_too_far() -> None:
    need = Needs(1000, 10)
    assert search(need, 10**6, 30, 10**6, seconds=0) == 120
    assert need.tried == [30]


def test_enlarged() -> None:
    batch = make_batch([4, 5, 6, 7, 2], [8, 2])
    large = enlarged(batch, 17)
    assert isinstance(large, PairBatch)
    assert large.source_tokens.shape == (4, 5)
    assert torch.equal(large.source_tokens[2:], batch.source_tokens)
    assert large.num_targets == 14
    assert large.indices.tolist() == [0, 1, 0, 1]
    assert enlarged(batch, 1).num_sentences == 1
    assert enlarged(batch, 1000, max_sentences=3).num_sentences == 3


@pytest.mark.parametrize(
    ("given", "largest", "expected"),
    [
        ((1000, 1), 1000, (1000, 1)),
        ((1000, 4), 4000, (4000, 1)),
        ((1000, 4), 3000, (2000, 2)),
        ((1000, 1), 300, (250, 4)),
        ((1000, 3), 900, (750, 4)),
        ((1000, 1), 999, (500, 2)),
    ],
)
def test_an_update_keeps_its_size(given: tuple[int, int], largest: int, expected: tuple[int, int]) -> None:
    batch = BatchConfig(max_tokens=given[0], micro_batches=given[1], fit=True)
    fitted = cut_update(batch, Report(limit=2**30, training=largest), least=10)
    assert (fitted.max_tokens, fitted.micro_batches) == expected
    assert fitted.max_tokens <= largest
    assert fitted.evaluation_max_tokens == fitted.max_tokens
    assert fitted.limit_mebibytes == 1024


@pytest.mark.parametrize(
    ("largest", "num_processes", "expected"),
    [
        (1000, 2, (500, 2)),
        (300, 2, (250, 4)),
        (350, 2, (250, 4)),
        (350, 1, (334, 3)),
        (100, 3, (84, 12)),
        (1000, 16, (100, 10)),  # the longest example takes 100
        (110, 16, (100, 10)),
    ],
)
def test_each_process_has_as_much_to_do(largest: int, num_processes: int, expected: tuple[int, int]) -> None:
    least = 100 if num_processes == 16 else 10
    batch = BatchConfig(max_tokens=1000, fit=True)
    fitted = cut_update(batch, Report(limit=1, training=largest), least, num_processes)
    assert (fitted.max_tokens, fitted.micro_batches) == expected


def test_evaluation_may_need_smaller_batches() -> None:
    batch = BatchConfig(max_tokens=1000, fit=True)
    assert cut_update(batch, Report(limit=1, training=1000, evaluation=400), least=10).evaluation_max_tokens == 400
    assert cut_update(batch, Report(limit=1, training=500, evaluation=500), least=10).evaluation_max_tokens == 500
    assert cut_update(batch, Report(limit=1, training=500, evaluation=5), least=10).evaluation_max_tokens == 10


def test_the_same_batches() -> None:
    fitted = FittedBatch(100, 2, 100, 10, 150)
    assert fitted.same_batches(FittedBatch(100, 2, 50, 99, 100))
    assert not fitted.same_batches(FittedBatch(200, 1, 100, 10, 200))
    assert not fitted.same_batches(None)


def test_the_widest_examples_of_a_plan() -> None:
    source, target = torch.tensor([3, 9, 4]).numpy(), torch.tensor([7, 2, 1]).numpy()
    plan = EpochPlan(source, target, BatchLimits(), order=Order.by_length)
    assert plan.widest == [1, 0]
    assert plan.largest_size == 9
    some = EpochPlan(source, target, BatchLimits(), numbers=torch.tensor([0, 2]).numpy())
    assert some.widest == [2, 0]
    assert some.largest_size == 7


def test_the_meter_sees_a_tensor() -> None:
    meter = Meter(torch.device("cpu"))
    assert 60e6 < meter(lambda: torch.ones(2**24)) < 90e6
    assert meter(lambda: None) < 30e6
    assert meter.free() > 0


def test_the_meter_tells_memory_from_mistakes() -> None:
    meter = Meter(torch.device("cpu"))
    with pytest.raises(DoesNotFitError):
        meter(lambda: torch.empty(2**60))
    with pytest.raises(RuntimeError, match="must match"):
        meter(lambda: torch.ones(2) + torch.ones(3))
