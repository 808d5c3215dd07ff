"""Checks of arguments, and text from files and callers made fit to be shown.

Every message names the field, its value and the allowed range.

A value is quoted only if it is a single number or a short word: a list may hold private counts that were passed in the
wrong place.
"""

import math
from numbers import Integral, Number, Real

_LONGEST = 60  # characters of a quoted value
# Letters and marks that count as printable, take no room and show nothing.
_UNSEEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")


def given(name: str, value: object) -> str:
    """What was passed, for a message: a number or a short string is quoted, of anything else the type is named.

    Example:
        >>> given("sigma", -1.5), given("sigma", [77, 5])
        ('sigma=-1.5', 'sigma (a list)')
    """
    if value is not None and not isinstance(value, Number | str):
        kind = type(value).__name__
        return f"{name} (an {kind})" if kind[0] in "aeiouAEIOU" else f"{name} (a {kind})"
    if isinstance(value, int) and abs(value) > 10**_LONGEST:
        return f"{name}={'-' * (value < 0)}(an integer of {value.bit_length()} bits)"
    text = repr(value)
    return f"{name}={text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}"


def integer(*, at_least: int | None = None, at_most: int | None = None, **named: object) -> None:
    """Refuse anything but whole numbers (Python or numpy) in range; `True` and `3.0` are refused too.

    Args:
        at_least: smallest allowed value.
        at_most: largest allowed value.
        **named: the values to check, under the names that the message shall show.

    Raises:
        TypeError: a value is not an integer.
        ValueError: a value lies outside the range.

    Example:
        >>> integer(count=3, at_least=0)
    """
    for name, value in named.items():
        _whole(name, value, at_least, at_most)


def real(
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    **named: object,
) -> None:
    """Refuse anything but finite real numbers in range; `1`, `1.0` and numpy scalars are all fine.

    Args:
        above: value must be greater than this.
        at_least: value must be this or greater.
        below: value must be smaller than this.
        at_most: value must be this or smaller.
        **named: the values to check, under the names that the message shall show.

    Raises:
        TypeError: a value is not a real number (bool and str included).
        ValueError: a value is nan, infinite or outside the range.

    Example:
        >>> real(delta=1e-5, at_least=0, below=1)
    """
    for name, value in named.items():
        _finite(name, value, above, at_least, below, at_most)


def probability_mass(**named: object) -> None:
    """Refuse anything but a number in [0, 1): the domain of every delta.

    Raises:
        TypeError: a value is not a real number.
        ValueError: a value lies outside [0, 1).
    """
    real(at_least=0.0, below=1.0, **named)  # pyright: ignore[reportArgumentType]  names are not its own


def as_float(
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    **named: object,
) -> float:
    """The one named value, checked by `real`, as a Python float; of a numpy scalar exactly what it holds.

    What is stored, written to a file or computed with goes through here: arithmetic with a narrow numpy number would stay
    narrow, and JSON takes no such number.

    Example:
        >>> as_float(delta=True, at_least=0)
        Traceback (most recent call last):
        TypeError: delta=True must be a finite number, >= 0
    """
    ((name, value),) = named.items()
    return _finite(name, value, above, at_least, below, at_most)


def as_int(*, at_least: int | None = None, at_most: int | None = None, **named: object) -> int:
    """The one named value, checked by `integer`, as a Python int.

    Example:
        >>> as_int(count=3, at_least=0)
        3
    """
    ((name, value),) = named.items()
    return _whole(name, value, at_least, at_most)


def _whole(name: str, value: object, at_least: int | None, at_most: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{given(name, value)} must be an integer{_range(None, at_least, None, at_most)}")
    number = int(value)
    if (at_least is not None and number < at_least) or (at_most is not None and number > at_most):
        raise ValueError(f"{given(name, value)} must be an integer{_range(None, at_least, None, at_most)}")
    return number


def _finite(
    name: str, value: object, above: float | None, at_least: float | None, below: float | None, at_most: float | None
) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{given(name, value)} must be a finite number{_range(above, at_least, below, at_most)}")
    number = _as_float(value)
    inside = math.isfinite(number) and not (
        (above is not None and number <= above)
        or (at_least is not None and number < at_least)
        or (below is not None and number >= below)
        or (at_most is not None and number > at_most)
    )
    if not inside:
        raise ValueError(f"{given(name, value)} must be a finite number{_range(above, at_least, below, at_most)}")
    return number + 0.0  # turns -0.0 into 0.0


def _as_float(value: Real) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _range(above: float | None, at_least: float | None, below: float | None, at_most: float | None) -> str:
    limits = {">": above, ">=": at_least, "<": below, "<=": at_most}
    parts = [f"{sign} {limit:g}" for sign, limit in limits.items() if limit is not None]
    return f", {' and '.join(parts)}" if parts else ""


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
    escaped = "".join(mark if _is_seen(mark) or mark in kept else _escaped(ord(mark)) for mark in cut)
    return escaped if len(cut) == len(whole) else f"{escaped}..."


def _is_seen(character: str) -> bool:
    return character.isprintable() and character not in _UNSEEN_LETTERS


def _escaped(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
