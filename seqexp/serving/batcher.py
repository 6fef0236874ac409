"""Translates what several requests ask for together, in one thread."""

import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqexp.config.base import OptionError
from seqexp.data.batch import PairBatch
from seqexp.data.split import Split
from seqexp.pretrained import TrainedModel, Translation
from seqexp.runtime.errors import UserError
from seqexp.serving.attention import Attention, attention_to_source

logger = logging.getLogger("seqexp.serving")


class BusyError(Exception):
    """So many sentences are waiting that no more are taken."""


@dataclass(frozen=True)
class Answer:
    """What one request gets, sentence by sentence."""

    translations: list[list[Translation]]
    attention: list[Attention | None]
    """Of the best translation; empty where it was not asked for, None for a model without attention to the source."""


@dataclass(frozen=True)
class _Request:
    sentences: Sequence[str]
    with_attention: bool
    future: "Future[Answer]" = field(default_factory=Future)


class Batcher:
    """A queue of requests, and the thread that works on them.

    Args:
        model: what translates; used by the thread alone.
        wait_seconds: how long a request that finds the thread idle waits for others to go with it.
        max_together: sentences after which no further request is waited for.
        max_waiting: most sentences that are taken and not yet answered.
        max_sentence_tokens: most source tokens of a sentence, `</s>` included.
    """

    def __init__(
        self,
        model: TrainedModel,
        *,
        wait_seconds: float,
        max_together: int,
        max_waiting: int,
        max_sentence_tokens: int,
    ) -> None:
        self.model = model
        self.max_sentence_tokens = max_sentence_tokens
        self.wait_seconds, self.max_together, self.max_waiting = wait_seconds, max_together, max_waiting
        self._queue: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._num_waiting = 0
        self.num_translated = 0
        """Sentences since the start."""
        self._thread = threading.Thread(target=self._work, name="translator", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def num_waiting(self) -> int:
        """Sentences that are taken and not yet answered."""
        return self._num_waiting

    def submit(self, sentences: Sequence[str], *, with_attention: bool = False) -> "Future[Answer]":
        """The answer, later; cancelled before its turn, it costs nothing.

        Raises:
            BusyError: too many are waiting.
        """
        with self._lock:
            if self._num_waiting + len(sentences) > self.max_waiting:
                raise BusyError
            self._num_waiting += len(sentences)
        request = _Request(sentences, with_attention)
        request.future.add_done_callback(lambda _: self._answered(len(sentences)))
        self._queue.put(request)
        return request.future

    def close(self) -> None:
        """Answer what has been taken, and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _answered(self, count: int) -> None:
        with self._lock:
            self._num_waiting -= count

    def _work(self) -> None:
        while (first := self._queue.get()) is not None:
            together, is_last = self._collect(first)
            self._answer([request for request in together if request.future.set_running_or_notify_cancel()])
            if is_last:
                return

    def _collect(self, first: _Request) -> tuple[list[_Request], bool]:
        """The requests to answer together, and whether none will follow."""
        together, count = [first], len(first.sentences)
        until = time.monotonic() + self.wait_seconds
        while count < self.max_together:
            try:
                request = self._queue.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                break
            if request is None:
                return together, True
            together.append(request)
            count += len(request.sentences)
        return together, False

    def _answer(self, requests: list[_Request]) -> None:
        try:
            split = self.model.encode([sentence for request in requests for sentence in request.sentences])
            self._require_short(split)
            by_number = dict(self.model.generate(split))
            found = iter([by_number[number] for number in range(len(split))])
            answers = [self._answer_to(request, [next(found) for _ in request.sentences]) for request in requests]
        except Exception as error:
            if len(requests) > 1:
                for request in requests:  # who is to blame alone shall hear of it
                    self._answer([request])
                return
            if not isinstance(error, UserError | OptionError):
                logger.exception("a request failed")
            requests[0].future.set_exception(error)
            return
        for request, answer in zip(requests, answers, strict=True):
            self.num_translated += len(request.sentences)
            request.future.set_result(answer)

    def _require_short(self, split: Split) -> None:
        """
        Raises:
            UserError: a sentence is too long; its number is right where there is one request only.
        """
        for number in range(len(split)):
            batch = split.collate(np.array([number]))
            assert isinstance(batch, PairBatch)
            if (length := int(batch.source_lengths)) > self.max_sentence_tokens:
                raise UserError(
                    f"sentence {number + 1} has {length} tokens, and {self.max_sentence_tokens} are allowed; cut it"
                )

    def _answer_to(self, request: _Request, translations: list[list[Translation]]) -> Answer:
        pairs: Any = zip(request.sentences, translations, strict=True) if request.with_attention else ()
        return Answer(translations, [attention_to_source(self.model, text, nbest) for text, nbest in pairs])
