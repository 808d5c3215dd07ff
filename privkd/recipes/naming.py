"""Names and lines that recipes give: plain enough for a shell, a file name and a table."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def check_name(**named: str) -> None:
    """Refuse a name that cannot be typed in a shell and be a part of a file name.

    Args:
        **named: the names, under what the message shall call them.

    Raises:
        TypeError: not a string.
        ValueError: other than letters, digits, `-` and `_`.
    """
    for label, name in named.items():
        if not isinstance(name, str):
            raise TypeError(f"{label} is {type(name).__name__}; a string is needed")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{label}={name!r} must be letters, digits, - and _, for example 'skd'")


def check_line(**named: str) -> None:
    """Refuse a text that is not one line.

    Args:
        **named: the texts, under what the message shall call them.

    Raises:
        TypeError: not a string.
        ValueError: empty, or several lines.
    """
    for label, text in named.items():
        if not isinstance(text, str):
            raise TypeError(f"{label} is {type(text).__name__}; a string is needed")
        if not text.strip() or "\n" in text:
            raise ValueError(f"{label}={text!r} must be one line of text")
