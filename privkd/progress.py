"""Progress of long work: bars on a terminal, one log line per stage elsewhere. Library code never prints."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

log = logging.getLogger("privkd")

_active: list[Progress] = []
_depth = 0


@contextmanager
def track(description: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how far a stage has come.

    Nested stages share one live display. Nothing but the description and a count is shown, so a bar can never
    reveal a private statistic.

    Args:
        description: what is being done, a few words.
        total: number of steps, >= 0.

    Yields:
        A function without arguments, to be called after each step.
    """
    if not sys.stderr.isatty():
        yield from _logged(description, total)
        return
    if _active:
        bar = _active[0]
        stage = bar.add_task(description, total=total)
        try:
            yield lambda: bar.advance(stage)
        finally:
            bar.remove_task(stage)
        return
    bar = _new_display()
    _active.append(bar)
    try:
        with bar:
            stage = bar.add_task(description, total=total)
            yield lambda: bar.advance(stage)
    finally:
        _active.clear()


def _logged(description: str, total: int) -> Iterator[Callable[[], None]]:
    """One line per outermost stage, without its duration, which may depend on private data; nested ones for debugging."""
    global _depth
    level = logging.INFO if _depth == 0 else logging.DEBUG
    _depth += 1
    try:
        yield lambda: None
    finally:
        _depth -= 1
    log.log(level, "%s: %d steps done", description, total)


def _new_display() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
