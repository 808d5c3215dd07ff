"""Progress of long work: live bars on a terminal, elsewhere a line every ten seconds.

What is shown is for the owner of the data, on the owner's own stderr: how long a stage takes, and so the estimate, may
depend on private records. Nothing of it may enter a release, so it is neither returned nor kept: histories, ledgers and
certificates hold no durations.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

log = logging.getLogger("privkd")

_FIRST = 10.0  # seconds after which a stage is worth a line in a file
_EVERY = 10.0  # seconds between two lines, whatever stages they are of
_LONG = 60.0  # seconds; a stage that will take longer says so as soon as it can be known
_SETTLED = 1.0  # seconds after which the first steps show how long the others take


@contextmanager
def track(description: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how far a stage of counted steps has come, and how long it will still take.

    Nested stages share one display.

    Args:
        description: what is being done, a few words, from public facts only.
        total: number of steps, >= 0.

    Yields:
        A function without arguments, to be called after each step.
    """
    with _display.stage(_Stage(description, total)) as advance:
        yield advance


@contextmanager
def working(description: str) -> Iterator[None]:
    """Show that a stage without countable steps (one big fit, k-means) is still at work; decorates functions, too.

    Args:
        description: what is being done, a few words, from public facts only.
    """
    with _display.stage(_Stage(description, None)):
        yield


@dataclass(eq=False)
class _Stage:
    """One stage: what is done, of how many steps."""

    description: str
    total: int | None
    done: int = 0
    begun: float = field(default_factory=time.monotonic)
    is_announced: bool = False

    def left(self) -> float | None:
        """Seconds that are left if the steps to come take as long as those that are done."""
        if not self.total or not self.done:
            return None
        return (time.monotonic() - self.begun) / self.done * (self.total - self.done)

    def line(self) -> str:
        """How far the stage is."""
        if self.total is None:
            return f"{self.description}: still at work after {_rough(time.monotonic() - self.begun)}"
        left = self.left()
        share = f" ({100 * self.done // self.total} %)" if self.total else ""
        rest = "" if left is None else f", about {_rough(left)} left"
        return f"{self.description}: {self.done} of {self.total}{share}{rest}"

    def forecast(self) -> str | None:
        """A line about a stage of over a minute, once, as soon as its first steps show that; else None."""
        passed = time.monotonic() - self.begun
        left = self.left()
        if self.is_announced or left is None or passed < _SETTLED:
            return None
        self.is_announced = True
        return f"{self.description} will take about {_rough(passed + left)}" if passed + left >= _LONG else None


class _Display:
    """The stages that are at work, outermost first, and how they are shown. Threads may begin and end stages."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all stages."""
        self._lock = threading.RLock()
        self._stages: list[_Stage] = []
        self._bars: Progress | None = None
        self._over = threading.Event()
        self._said = -_EVERY  # time of the last line
        self._say: Callable[[str], None] = _nowhere

    @contextmanager
    def stage(self, stage: _Stage) -> Iterator[Callable[[], None]]:
        """Show a stage while the block runs."""
        with self._lock:
            outermost = not self._stages
            self._stages.append(stage)
            if outermost:
                self._begin()
            bars = self._bars
            row = None if bars is None else bars.add_task(stage.description, total=stage.total)

        def advance() -> None:
            stage.done += 1
            if bars is not None and row is not None:
                bars.advance(row)
            elif (said := stage.forecast()) is not None:
                self._say(said)

        try:
            yield advance
        finally:
            with self._lock:
                if bars is not None and row is not None:
                    bars.remove_task(row)
                self._stages.remove(stage)
                if not self._stages:
                    self._end()
        if bars is None and stage.total is not None:
            level = logging.INFO if outermost else logging.DEBUG
            log.log(level, "%s: %d steps done", stage.description, stage.total)

    def _begin(self) -> None:
        self._say = _where_to_say()
        if sys.stderr is not None and sys.stderr.isatty():
            self._bars = _new_bars()
            self._bars.start()
            return
        self._over = threading.Event()
        threading.Thread(target=self._tick, args=(self._over,), name="privkd progress", daemon=True).start()

    def _end(self) -> None:
        self._over.set()
        if self._bars is not None:
            self._bars.stop()
        self._bars = None

    def _tick(self, over: threading.Event) -> None:
        while not over.wait(max(_FIRST, self._said + _EVERY - time.monotonic())):
            with self._lock:
                lines = [stage.line() for stage in self._stages]
            if lines and not over.is_set():
                self._said = time.monotonic()
                self._say("; ".join(dict.fromkeys(lines)))


def _where_to_say() -> Callable[[str], None]:
    """Where the lines of a stage go: into the program's log; into stderr where it keeps none, as nobody would see them otherwise.

    Decided when the stage begins. What runs inside may be silenced, as teachers are; the owner still sees the lines.
    """
    if log.hasHandlers():
        return _log if log.isEnabledFor(logging.INFO) else _nowhere
    stream = sys.stderr
    if stream is None or log.getEffectiveLevel() > logging.WARNING:
        return _nowhere

    def write(line: str) -> None:
        stream.write(line + "\n")
        stream.flush()

    return write


def _log(line: str) -> None:
    log.handle(
        log.makeRecord(log.name, logging.INFO, __file__, 0, "%s", (line,), None)
    )  # whatever logging.disable says now


def _nowhere(line: str) -> None:
    """The end of a line that nobody wants to see."""


def _rough(seconds: float) -> str:
    """A duration as people say it.

    >>> _rough(7.2), _rough(240), _rough(9000)
    ('7 s', '4 min', '2.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _new_bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(file=sys.stderr), transient=True)


_display = _Display()
if hasattr(os, "register_at_fork"):  # a forked worker has no thread that ticks, and perhaps a lock that nobody opens
    os.register_at_fork(after_in_child=_display.reset)
