"""Requests are translated together, and one that fails or is too much harms no other."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from seqexp.data.batch import PairBatch
from seqexp.pretrained import Translation
from seqexp.runtime.errors import UserError
from seqexp.serving.batcher import Answer, Batcher, BusyError


class Upper:
    """Translates into capitals, when it may."""

    def __init__(self) -> None:
        self.models = [SimpleNamespace(max_source_positions=100)]
        self.task = self
        self.may = threading.Event()
        self.began = threading.Event()
        self.batches: list[list[str]] = []

    def encode(self, lines: Sequence[str]) -> "Upper.Split":
        return Upper.Split(list(lines))

    def generate(self, split: "Upper.Split") -> Iterator[tuple[int, list[Translation]]]:
        self.batches.append(split.lines)
        self.began.set()
        assert self.may.wait(10)
        if "bad" in split.lines:
            raise UserError("bad is not good")
        for number in reversed(range(len(split))):
            yield number, [Translation(split.lines[number].upper(), 0.0, [], [])]

    class Split:
        def __init__(self, lines: list[str]) -> None:
            self.lines = lines

        def __len__(self) -> int:
            return len(self.lines)

        def collate(self, numbers: Any) -> PairBatch:
            length = torch.tensor([len(self.lines[int(np.asarray(numbers)[0])].split()) + 1])
            return PairBatch(torch.tensor([0]), 0, torch.ones(1, int(length)), length)


@pytest.fixture
def model() -> Upper:
    return Upper()


@pytest.fixture
def batcher(model: Upper) -> Iterator[Batcher]:
    made: Any = Batcher(model, wait_seconds=0.2, max_together=4, max_waiting=6, max_sentence_tokens=5)  # type: ignore[arg-type]
    yield made
    model.may.set()
    made.close()
    assert not made.is_alive


def texts(future: "Future[Answer]") -> list[str]:
    return [nbest[0].text for nbest in future.result(10).translations]


def test_requests_go_together_and_answers_come_back_apart(batcher: Batcher, model: Upper) -> None:
    model.may.set()
    futures = [batcher.submit(["a"]), batcher.submit(["b", "c"]), batcher.submit(["d"])]
    assert [texts(future) for future in futures] == [["A"], ["B", "C"], ["D"]]
    assert model.batches == [["a", "b", "c", "d"]]  # max_together was reached: nobody waited
    assert (batcher.num_waiting, batcher.num_translated) == (0, 4)


def test_too_many_are_refused(batcher: Batcher, model: Upper) -> None:
    taken = batcher.submit(["a"] * 6)
    with pytest.raises(BusyError):
        batcher.submit(["b"])
    model.may.set()
    taken.result(10)
    assert texts(batcher.submit(["b"])) == ["B"]


def test_who_is_to_blame_alone_hears_of_it(batcher: Batcher, model: Upper) -> None:
    model.may.set()
    good, bad, long = batcher.submit(["a"]), batcher.submit(["bad"]), batcher.submit(["b", "one two three four five"])
    assert texts(good) == ["A"]
    with pytest.raises(UserError, match="bad is not good"):
        bad.result(10)
    with pytest.raises(UserError, match="sentence 2 has 6 tokens, and 5 are allowed"):
        long.result(10)


def test_what_nobody_waits_for_is_not_translated(batcher: Batcher, model: Upper) -> None:
    first = batcher.submit(["a"] * 4)
    assert model.began.wait(10)
    given_up = batcher.submit(["b"])
    assert given_up.cancel()
    model.may.set()
    first.result(10)
    assert texts(batcher.submit(["c"])) == ["C"]
    assert ["b"] not in model.batches and batcher.num_waiting == 0


def test_the_end_answers_what_was_taken(model: Upper) -> None:
    batcher: Any = Batcher(model, wait_seconds=0, max_together=1, max_waiting=6, max_sentence_tokens=5)  # type: ignore[arg-type]
    futures = [batcher.submit([text]) for text in "ab"]
    model.may.set()
    batcher.close()
    assert [texts(future) for future in futures] == [["A"], ["B"]]
