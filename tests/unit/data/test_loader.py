from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from seqexp.data.batch import Batch
from seqexp.data.batching import BatchLimits, EpochPlan, Integers
from seqexp.data.loader import micro_batches

PLAN = EpochPlan(np.arange(2, 40), None, BatchLimits(max_sentences=4), seed=1, epoch=1)


@dataclass(frozen=True)
class Collater:
    """Notes what it was asked for, in this process."""

    calls: list[list[int]]

    def __call__(self, numbers: Integers) -> Batch:
        self.calls.append(numbers.tolist())
        return Batch(indices=torch.from_numpy(np.array(numbers, dtype=np.int64)), num_targets=len(numbers))


def given(**options: Any) -> list[list[int]]:
    return [batch.indices.tolist() for batch in micro_batches(PLAN, Collater([]), **options)]


EVERYTHING = [PLAN[position].tolist() for position in range(len(PLAN))]


@pytest.mark.parametrize("num_workers", [0, 1, 2])
@pytest.mark.parametrize("start", [0, 3, len(EVERYTHING)])
def test_the_plan_from_any_position_with_any_number_of_workers(num_workers: int, start: int) -> None:
    assert given(start=start, num_workers=num_workers) == EVERYTHING[start:]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_chosen_positions(num_workers: int) -> None:
    assert given(positions=range(1, len(PLAN), 2), num_workers=num_workers) == EVERYTHING[1::2]


def test_batches_before_the_start_are_not_made() -> None:
    collater = Collater([])
    batches = micro_batches(PLAN, collater, start=5)
    next(batches)
    assert collater.calls == EVERYTHING[5:6]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_global_random_state_is_left_alone(num_workers: int) -> None:
    before = torch.random.get_rng_state()
    given(num_workers=num_workers)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_stopping_early_ends_the_workers() -> None:
    batches = micro_batches(PLAN, Collater([]), num_workers=1)
    assert next(batches).indices.tolist() == EVERYTHING[0]
    batches.close()  # type: ignore[attr-defined]
