"""Two ways to write: while the training waits, or beside it."""

import threading
from collections.abc import Callable
from dataclasses import replace
from queue import SimpleQueue
from typing import Protocol

import torch
from torch import Tensor

from seqexp.checkpoint.layout import Checkpoint
from seqexp.checkpoint.tensors import Part, TensorSet
from seqexp.checkpoint.writing import Content

Write = Callable[[Content], Checkpoint | None]


class Writing(Protocol):
    """Carries out writes one after the other."""

    def submit(self, content: Content, write: Write) -> None:
        """Write; what `content` holds may be changed as soon as this returns.

        Raises:
            UserError: this write, or one before, has failed.
        """

    def wait(self) -> None:
        """Wait until nothing is being written."""

    def finished(self) -> list[Checkpoint]:
        """What has been written since this was last asked, without waiting.

        Raises:
            UserError: a write has failed.
        """


class Foreground:
    """The training waits."""

    def __init__(self) -> None:
        self._finished: list[Checkpoint] = []

    def submit(self, content: Content, write: Write) -> None:
        if (checkpoint := write(content)) is not None:
            self._finished.append(checkpoint)

    def wait(self) -> None:
        """Nothing is ever being written when somebody asks."""

    def finished(self) -> list[Checkpoint]:
        found, self._finished = self._finished, []
        return found


class Background:
    """The training waits for a copy of the state only, which a thread writes."""

    def __init__(self) -> None:
        self._copies = HostCopies()
        self._thread: threading.Thread | None = None
        self._outcomes: SimpleQueue[Checkpoint | BaseException | None] = SimpleQueue()
        self._finished: list[Checkpoint] = []

    def submit(self, content: Content, write: Write) -> None:
        self.wait()
        self._take_outcomes()
        copy = self._copies.of(content)
        # A daemon: whoever has been told to leave at once need not wait for a disk that hangs.
        self._thread = threading.Thread(target=self._run, args=(copy, write), name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def finished(self) -> list[Checkpoint]:
        self._take_outcomes()
        found, self._finished = self._finished, []
        return found

    def _run(self, content: Content, write: Write) -> None:
        try:
            self._outcomes.put(write(content))
        except BaseException as error:  # told to who asks next
            self._outcomes.put(error)

    def _take_outcomes(self) -> None:
        while not self._outcomes.empty():
            outcome = self._outcomes.get()
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is not None:
                self._finished.append(outcome)


class HostCopies:
    """Copies of tensors in the machine's memory, which is kept from one checkpoint to the next."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, str], Tensor] = {}

    def of(self, content: Content) -> Content:
        """The same content, of which no tensor changes any more."""
        copied = {
            name: TensorSet(
                {key: replace(part, tensor=self._copy((name, key), part)) for key, part in tensors.parts.items()},
                tensors.aliases,
            )
            for name, tensors in content.tensors.items()
        }
        if any(part.tensor.is_cuda for tensors in content.tensors.values() for part in tensors.parts.values()):
            torch.cuda.current_stream().synchronize()
        return replace(content, tensors=copied)

    def _copy(self, key: tuple[str, str], part: Part) -> Tensor:
        tensor = part.tensor
        buffer = self._buffers.get(key)
        if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
            buffer = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
            self._buffers[key] = buffer
        return buffer.copy_(tensor, non_blocking=tensor.is_cuda)
