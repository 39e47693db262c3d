"""Ctrl-C between two steps, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether somebody asked the run to stop."""

    asked = False


@contextmanager
def interrupts() -> Iterator[Interrupt]:
    """Let the first Ctrl-C (or a scheduler's SIGTERM) set a flag, and the second one stop at once.

    Outside the main thread, where Python hands out no signals, the flag stays unset.
    """
    flag = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if flag.asked:
            raise KeyboardInterrupt
        flag.asked = True

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.signal(kind, ask) for kind in kinds}
    try:
        yield flag
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
