"""Ctrl-C and SIGTERM: the first ends a run in order, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SHOW_CURSOR = b"\x1b[?25h"


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C or SIGTERM calls ``stop``; a second one ends the process at once.

    Signals reach the main thread only; elsewhere (tests, a caller's own thread) nothing is installed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Callable[[int, FrameType | None], Any] | int | signal.Handlers | None] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        for installed in before:
            signal.signal(installed, die)
        stop()

    def die(number: int, frame: FrameType | None) -> None:
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), SHOW_CURSOR)  # the progress bar hides it
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[int(number)] = signal.signal(number, handle)
    try:
        yield
    finally:
        for installed, previous in before.items():
            signal.signal(installed, previous)
