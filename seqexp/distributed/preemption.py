"""Ctrl-C and the end of a job's time: stop between two updates, with everything saved."""

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Schedulers send one of the last two some time before a job's end."""


class StopRequest:
    """Context in which the first Ctrl-C, SIGTERM, SIGUSR1 or SIGUSR2 is only noted, for somebody to see between two
    updates; the next one interrupts."""

    def __init__(self, on_signal: Callable[[signal.Signals], None] | None = None) -> None:
        """`on_signal` is told of every signal, in place of an interruption by the second."""
        self.signal: signal.Signals | None = None
        """What arrived, None while nothing did."""
        self._on_signal = on_signal
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python installs no handlers
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def flags(self) -> list[float]:
        """What arrived as numbers that processes can add up, see `agreed`."""
        return [float(self.signal is number) for number in SIGNALS]

    def agreed(self, flags: Sequence[float]) -> bool:
        """Whether any process was asked to stop, from the sums of their `flags`; then this one was too."""
        arrived = [number for number, flag in zip(SIGNALS, flags, strict=True) if flag]
        if arrived:
            self.signal = self.signal or arrived[0]
        return bool(arrived)

    def leave(self) -> NoReturn:
        """End as the signal would have ended the process: exit status 130 after Ctrl-C, 143 after SIGTERM.

        Who had a handler of SIGUSR1 or SIGUSR2 installed, as submitit has one that queues the job again, gets it now.
        """
        before = self._before.get(self.signal) if self.signal is not None else None
        if self.signal in (signal.SIGUSR1, signal.SIGUSR2) and callable(before):
            before(self.signal, None)
        if self.signal is not None and self.signal is not signal.SIGINT:
            raise SystemExit(128 + self.signal)
        raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        first = self.signal is None
        self.signal = self.signal or signal.Signals(number)
        if self._on_signal is not None:
            self._on_signal(signal.Signals(number))
        elif not first:
            self.leave()
