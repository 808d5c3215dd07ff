"""A cost that depends on private votes, hidden in an object that shows what it is, never how much."""

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from accountants import check


class PrivateCost:
    """A number that depends on private data and must not be published, printed or stored.

    A guard against accidents (a log line, an f-string, a JSON file), not a defence against code that wants to cheat.
    To publish a data-dependent epsilon, release it through a mechanism (`disclose="smooth-sensitivity"`); to publish
    any epsilon at all, the data-independent one costs nothing.

    Args:
        value: the number, nats, >= 0 and finite.
        what: what it is, for people; shown.

    Raises:
        ValueError: the value is negative or not finite; it is not shown.

    Example:
        >>> cost = PrivateCost(0.25, what="epsilon of 100 answers")
        >>> print(f"{cost:.3f}")
        <PrivateCost: epsilon of 100 answers, value hidden>
        >>> cost.unsafe_value()
        0.25
    """

    __slots__ = ("_open", "what")

    _open: Callable[[], float]
    what: str

    def __init__(self, value: float, *, what: str) -> None:
        number = -1.0
        with suppress(TypeError, ValueError):  # the message of which quotes the value
            number = check.as_float(value=value, at_least=0.0)
        if number < 0.0:
            raise ValueError(f"the {what} must be a finite number >= 0 (it is private and not shown)")
        # A closure, because debuggers and inspectors print the attributes of objects.
        self._open = lambda: number
        self.what = what

    def unsafe_value(self) -> float:
        """The private number itself, for mechanisms, tests and people who may see the votes; protects nobody."""
        return self._open()

    def __repr__(self) -> str:
        return f"<PrivateCost: {self.what}, value hidden>"

    def __str__(self) -> str:
        return repr(self)

    def __format__(self, specification: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        self._refuse("copied, pickled or sent to another process")

    def __float__(self) -> NoReturn:
        self._refuse("used as a number")

    def __bool__(self) -> NoReturn:
        self._refuse("used as a condition")

    def to_dict(self) -> NoReturn:
        """Refuse: a private number is written nowhere.

        Raises:
            TypeError: always.
        """
        self._refuse("written to a file")

    def _refuse(self, done: str) -> NoReturn:
        raise TypeError(
            f"{self!r} cannot be {done}: it depends on private votes. Publish the data-independent epsilon, or release "
            "this one through a mechanism; unsafe_value() gives the bare number to eyes that may see the votes"
        )
