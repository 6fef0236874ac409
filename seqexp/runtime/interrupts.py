"""Ctrl-C while a command's imports are still running, which takes a second or two: no trace then either."""

import os
import signal
import sys
from itertools import pairwise
from types import FrameType

INTERRUPTED = 130
"""Exit status, as a shell reports a process that SIGINT ended."""


def leave_quietly_while_importing() -> None:
    """Make Ctrl-C end this process at once, if it is `python -m seqexp...` and nothing of it runs yet.

    A package that is used as a library changes no handler, and neither does a process that ignores Ctrl-C.
    """
    # Python puts "-m" there until it has found the module that is to run.
    is_starting = sys.argv[:1] == ["-m"]
    is_ours = any(flag == "-m" and name.split(".")[0] == "seqexp" for flag, name in pairwise(sys.orig_argv))
    if is_starting and is_ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def raise_interrupts() -> None:
    """Make Ctrl-C raise KeyboardInterrupt again: from here on somebody catches it."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception would be turned into others by the modules that it interrupts, each with a trace.
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
