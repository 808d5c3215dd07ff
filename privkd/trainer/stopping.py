"""Notice that the process was asked to end (SIGTERM), so that a run can save itself first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["watching_for_stop"]


@contextmanager
def watching_for_stop() -> Iterator[Callable[[], bool]]:
    """A function that tells whether SIGTERM arrived since; outside the main thread, where none can, always False."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    arrived = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        arrived.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield arrived.is_set
    finally:
        signal.signal(signal.SIGTERM, before)
