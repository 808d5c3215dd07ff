"""Text that somebody else wrote, made safe to show: no character of it moves a cursor, reorders a line or hides."""

import unicodedata

__all__ = ["shown"]

# Controls (C0, DEL, C1), format characters (bidi marks, zero width, tags), lone surrogates, line and paragraph separators.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Letters and marks of other categories that take no room and show nothing.
_UNSEEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")


def shown(text: str, most: int = 200) -> str:
    r"""One line that shows a foreign text as it is, characters that cannot be seen as escapes.

    For terminals, pages, log files and messages. What comes out can be printed and encoded in UTF-8. It is not HTML: a
    page escapes it as any other text.

    Args:
        text: anything, lone surrogates included.
        most: characters of the text that are shown; three dots stand for the others.

    Example:
        >>> print(shown("two\nlines, \x1b[31mred, \u202etxt.exe, 3 \u2264 \u03b5"))
        two\nlines, \x1b[31mred, \u202etxt.exe, 3 ≤ ε
        >>> shown("a" * 1000, most=5)
        'aaaaa...'
    """
    escaped = "".join(_escaped(character) if _is_unseen(character) else character for character in text[:most])
    return escaped if len(text) <= most else f"{escaped}..."


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN_CATEGORIES or character in _UNSEEN_LETTERS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
