"""Text from files and callers, made fit to be shown: nothing in it can steer a terminal, turn the direction of writing or hide."""

__all__ = ["shown"]

# Letters and marks that count as printable, take no room and show nothing.
_UNSEEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")


def shown(text: object, most: int | None = None, *, lines: bool = False) -> str:
    r"""The text with every character escaped that cannot be seen.

    Escape sequences, other control characters, and characters that turn the direction of writing or have no width are
    written as `\x1b` or `\u202e`, so that a reader sees them instead of their effect. What comes out can be encoded in UTF-8. To
    do it twice changes nothing. The result is for people: a backslash of the text itself is left alone, and it is not HTML.

    Args:
        text: what is shown; anything but a string is taken as `str(text)`.
        most: characters of the text that are shown; three dots stand for the others. None for all.
        lines: keep line ends and tabs, for whole messages and tables; without it one text stays on one line.

    Example:
        >>> print(shown("1.0 \x1b[8m\u202e and\nmore"))
        1.0 \x1b[8m\u202e and\x0amore
        >>> shown("a" * 1000, most=5)
        'aaaaa...'
    """
    whole, kept = str(text), "\n\t" if lines else ""
    cut = whole if most is None else whole[:most]
    escaped = "".join(one if _is_seen(one) or one in kept else _escaped(ord(one)) for one in cut)
    return escaped if len(cut) == len(whole) else f"{escaped}..."


def _is_seen(character: str) -> bool:
    return character.isprintable() and character not in _UNSEEN_LETTERS


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
