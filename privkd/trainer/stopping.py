"""Notice that the run was asked to end (SIGTERM), so that it can save itself first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from privkd.trainer.devices.engine import Engine

_AGREE_EVERY = 10  # steps between two agreements of several processes; asking makes an accelerator wait


@contextmanager
def watching_for_stop(engine: Engine) -> Iterator[Callable[[int], bool]]:
    """A function of the steps done, which says whether SIGTERM has arrived.

    Several processes agree on it, every few steps: one that stopped alone would leave the others waiting for its
    gradients. Outside the main thread no signal can be seen, and the answer is that of the other processes.
    """
    arrived, heeded = threading.Event(), threading.Event()

    def asked(step: int) -> bool:
        alone = engine.process[1] == 1
        stop = arrived.is_set() if alone else step % _AGREE_EVERY == 0 and engine.any(arrived.is_set())
        if stop:
            heeded.set()
        return stop

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        arrived.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
        if arrived.is_set() and callable(before):
            before(signal.SIGTERM, None)  # a run around this one has to stop as well
        elif arrived.is_set() and not heeded.is_set():
            signal.raise_signal(signal.SIGTERM)  # it came too late for this run, but it came
