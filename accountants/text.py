"""Text from files and callers, made fit to be shown: nothing in it can steer a terminal or turn the direction of writing."""

__all__ = ["shown"]


def shown(text: object, *, lines: bool = False) -> str:
    r"""The text with every character escaped that is not plainly printable.

    Escape sequences, other control characters, and characters that turn the direction of writing or have no width are
    written as `\x1b` or `\u202e`, so that a reader sees them instead of their effect. To do it twice changes nothing. The
    result is for people: a backslash of the text itself is left alone.

    Args:
        text: what is shown; anything but a string is taken as `str(text)`.
        lines: keep line ends and tabs, for whole messages and tables; without it one text stays on one line.

    Example:
        >>> print(shown("1.0 \x1b[8m\u202e and\nmore"))
        1.0 \x1b[8m\u202e and\x0amore
    """
    kept = "\n\t" if lines else ""
    return "".join(one if one.isprintable() or one in kept else _escaped(ord(one)) for one in str(text))


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
