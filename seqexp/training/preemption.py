"""Ctrl-C and the end of a job's time: stop between two updates, with everything saved."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Context in which the first Ctrl-C or SIGTERM is only noted, for the trainer to see; the next one interrupts."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """What arrived, None while nothing did."""
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

    def leave(self) -> NoReturn:
        """End as the signal would have ended the process: exit status 130 after Ctrl-C, 143 after SIGTERM."""
        if self.signal is signal.SIGTERM:
            raise SystemExit(128 + self.signal)
        raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            self.leave()
        self.signal = signal.Signals(number)
