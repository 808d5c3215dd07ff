"""How commands speak: a table or one JSON object on stdout, the rest on stderr, refusals as exit codes."""

from __future__ import annotations

import json
import logging
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from accountants.check import shown
from privkd.errors import InputRangeWarning, PrivacyScopeWarning, PrivkdError, WeakSignalWarning

FALSE, REFUSED, INTERRUPTED = 1, 3, 130

Json = Annotated[bool, typer.Option("--json", help="print one JSON object")]
"""The option of a command whose result can be one JSON object."""


@contextmanager
def refusals() -> Iterator[None]:
    """Show what the library refuses as a message on stderr, without a traceback, and exit with its code.

    Raises:
        typer.Exit: with code 3 for a refusal, 130 for an interruption.
    """
    try:
        yield
    except typer.Exit:  # a RuntimeError by descent, and no fault
        raise
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except (PrivkdError, ValueError, TypeError, OSError, ImportError) as error:
        say(f"{type(error).__name__}: {error}")
        raise typer.Exit(REFUSED) from None
    except (RuntimeError, LookupError, ArithmeticError, AttributeError, AssertionError, MemoryError):
        say(traceback.format_exc())  # a fault of privkd or of the caller's own code: never "a claim is false"
        raise typer.Exit(REFUSED) from None


def say(text: str) -> None:
    """Write a line to stderr; control characters of whatever it quotes are shown, not sent to the terminal."""
    sys.stderr.write(shown(text, lines=True) + "\n")


def emit(values: Mapping[str, Any], *, as_json: bool, title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Write the result of a command: one JSON object, or a table of labelled texts.

    Args:
        values: the JSON object.
        as_json: which of the two.
        title: of the table.
        rows: label and text.
    """
    if as_json:
        typer.echo(json.dumps(values, indent=1, allow_nan=False))
        return
    show_table(title, ("", ""), rows)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to stdout; texts are never read as markup, and their control characters are shown."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(shown(title)), title_justify="left", show_header=any(columns), show_edge=False, box=box.SIMPLE_HEAD
    )
    for position, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=position == 0 and not any(columns))
    for row in rows:
        table.add_row(*(Text(shown(text, lines=True)) for text in row))
    Console().print(table)


def set_up_stderr() -> None:
    """Send the progress of the library and its warnings to stderr, one plain line each."""
    logger = logging.getLogger("privkd")
    logger.addHandler(_Lines())
    logger.setLevel(logging.INFO)
    standard = warnings.showwarning

    def show(message, category, filename, lineno, file=None, line=None) -> None:
        if issubclass(category, (PrivacyScopeWarning, InputRangeWarning, WeakSignalWarning)):
            say(f"warning: {message}")
        else:
            standard(shown(message, lines=True), category, filename, lineno, file, line)

    warnings.showwarning = show


class _Lines(logging.Handler):
    """A handler that asks for stderr at every line, because a live progress display takes its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))
