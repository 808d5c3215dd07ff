"""The fields of events: which values one takes, and the one form in which it keeps them."""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, field, fields
from typing import Any

from accountants import check
from accountants.events.event import MAX_COUNT, Event

Form = Callable[[Any, str, object], object]  # from event, name of the field and what was passed to what is kept


def real(
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    default: Any = MISSING,
) -> Any:
    """A field for a finite number in a range, kept as a Python float; -0.0 becomes 0.0."""

    def form(_: Event, name: str, value: object) -> float:
        return check.as_float(above=above, at_least=at_least, below=below, at_most=at_most, **{name: value})

    return kept(form, default=default)


def integer(*, at_least: int, at_most: int | str = MAX_COUNT, default: Any = MISSING) -> Any:
    """A field for a whole number in a range, kept as a Python int; also for None where that is the default.

    Args:
        at_least: smallest allowed value.
        at_most: largest allowed value, or the name of the field that holds it.
        default: the value if none is passed; without it one must be.
    """

    def form(event: Event, name: str, value: object) -> int | None:
        if value is None and default is None:
            return None
        most = getattr(event, at_most) if isinstance(at_most, str) else at_most
        return check.as_int(at_least=at_least, at_most=most, **{name: value})

    return kept(form, default=default, limit=at_most if isinstance(at_most, str) else None)


def reals(*, above: float | None = None, at_least: float | None = None) -> Any:
    """A field for a sequence of finite numbers in a range, kept as a tuple of Python floats."""

    def form(_: Event, name: str, sequence: object) -> tuple[float, ...]:
        if isinstance(sequence, str) or not isinstance(sequence, Iterable):
            raise TypeError(f"{check.given(name, sequence)} must be a sequence of numbers")
        return tuple(check.as_float(above=above, at_least=at_least, **{name: number}) for number in sequence)

    return kept(form)


def choice(*options: str, default: Any = MISSING) -> Any:
    """A field for one of these words, kept as the word itself, also if a text enum or a numpy string was passed."""

    def form(_: Event, name: str, value: object) -> str:
        if value not in options:
            raise ValueError(f"{check.given(name, value)} is unknown; pass one of {', '.join(map(repr, options))}")
        return options[options.index(value)]

    return kept(form, default=default)


def kept(form: Form, *, default: Any = MISSING, compare: bool = True, limit: str | None = None) -> Any:
    """A field that keeps what `form` makes of the value passed; `form` raises what the user shall read.

    Args:
        form: from the event, the field's name and the value to what is kept.
        default: the value if none is passed; without it one must be.
        compare: False for private data, which no comparison, text, dictionary or copy of the event knows.
        limit: name of another field that `form` looks at, if that one is declared later.
    """
    return field(default=default, compare=compare, metadata={"form": form, "limit": limit})


def forms_of(kind: type) -> list[tuple[str, Form]]:
    """Name and form of each field of an event class in order, but a field that limits another one before that one."""
    declared = {item.name: item.metadata for item in fields(kind) if "form" in item.metadata}
    order = dict.fromkeys(name for own, data in declared.items() for name in (data["limit"] or own, own))
    return [(name, declared[name]["form"]) for name in order]
