"""The registry of event classes: a decorator enters one, and JSON, expressions and ledgers can then be read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import TypeVar, dataclass_transform

from accountants.adjacency import Adjacency
from accountants.events.event import EVERY_ADJACENCY, KINDS, Event
from accountants.events.fields import choice, forms_of, integer, kept, real, reals

NAMES: dict[str, type[Event]] = {}  # what may stand before the bracket in an expression
METHODS: dict[str, type[Event]] = {}  # what may stand behind the point in an expression

E = TypeVar("E", bound=Event)


@dataclass_transform(frozen_default=True, field_specifiers=(field, real, integer, reals, choice, kept))
def event(
    type_name: str,
    *,
    alias: str | None = None,
    method: str | None = None,
    adjacencies: Iterable[Adjacency] = EVERY_ADJACENCY,
) -> Callable[[type[E]], type[E]]:
    """Makes an event of a class: a frozen dataclass with slots, its fields checked, known under its names.

    The fields are those of `accountants.events.fields`. A `__post_init__` of the class runs after them and finds every field
    in the form in which it is kept; it calls that of a base class by the name of the base, as `super()` of a class with slots
    does not find it. What the event costs is said by `Event.simplify`, or by a function registered with an accountant.

    Args:
        type_name: the "type" in JSON and the name in expressions; never change what a field of it means.
        alias: another name in expressions. The name of the class is always one.
        method: the method of events that makes this one, with the other event as its field `event`. `Event` has those of
            this package; any other is added to it.
        adjacencies: the neighbouring relations that the parameters are stated for; for an event with others inside, those
            among them that the inner events are stated for too.

    Raises:
        ValueError: another class has one of the names.
        TypeError: the class is no `Event`, derives from a registered one, or has a field that nothing checks.

    Example:
        >>> @event("doubled", adjacencies=[Adjacency.REPLACE_ONE])
        ... class Doubled(Event):
        ...     sigma: float = real(above=0.0)
        >>> Doubled(3) == Event.from_dict({"type": "doubled", "sigma": 3.0})
        True
    """

    def registered(kind: type[E]) -> type[E]:
        if not issubclass(kind, Event):
            raise TypeError(f"{kind.__name__} must be a subclass of Event to be registered as {type_name!r}")
        parent = next((base for base in kind.__mro__[1:] if "type_name" in vars(base)), None)
        if parent is not None:
            raise TypeError(
                f"{kind.__name__} derives from {parent.__name__}, and would be priced as one whatever its own fields say; derive "
                "it from Event, and say in `simplify` what it costs"
            )
        names = [(KINDS, type_name), (NAMES, type_name), (NAMES, kind.__name__), (NAMES, alias), (METHODS, method)]
        entries = [(table, name) for table, name in names if name is not None]
        for table, name in entries:
            _require_free(table, name, kind)
        kind.type_name, kind._method, kind._adjacencies = type_name, method, frozenset(adjacencies)
        made = _dataclass(kind)
        for table, name in entries:
            table[name] = made
        if method is not None and not hasattr(Event, method):
            _offer(method)
        return made

    return registered


def _dataclass(kind: type[E]) -> type[E]:
    """The class as a dataclass that brings its fields into their forms before its own `__post_init__` runs."""
    complete = kind.__post_init__

    def __post_init__(self: E) -> None:  # noqa: N807  dataclasses call it by this name
        for name, form in forms:
            object.__setattr__(self, name, form(self, name, getattr(self, name)))
        complete(self)

    kind.__post_init__ = __post_init__
    made = dataclass(frozen=True, slots=True, repr=False)(kind)
    forms = forms_of(made)
    inner = (
        ("event", "events") if hasattr(kind, "inside") else ()
    )  # checked, and counted in adjacencies and depth, by the base
    declared = fields(made)  # pyright: ignore[reportArgumentType]
    unchecked = [item.name for item in declared if item.init and "form" not in item.metadata and item.name not in inner]
    if unchecked:
        raise TypeError(
            f"{kind.__name__} takes {', '.join(unchecked)} unchecked; declare fields by real(), integer(), ... of "
            "accountants.events.fields, and derive an event with others inside from SingleInside or SeveralInside"
        )
    return made


def _require_free(table: dict[str, type[Event]], name: str, kind: type[Event]) -> None:
    """Refuse a name that another class has; a class defined again, as in a notebook, takes its own place."""
    if not name.isidentifier():
        raise ValueError(f"{name!r} cannot be a name of {kind.__name__}; pass a Python identifier")
    holder = table.get(name, kind)
    if (holder.__module__, holder.__qualname__) != (kind.__module__, kind.__qualname__):
        raise ValueError(
            f"{kind.__module__}.{kind.__qualname__} cannot be registered as {name!r}: that is "
            f"{holder.__module__}.{holder.__qualname__}; choose another name"
        )


def _offer(method: str) -> None:
    """Add to `Event` the method of a sample of another package."""

    def made(self: Event, *values: object, **named: object) -> Event:
        return METHODS[method](*values, **{"event": self, **named})

    setattr(Event, method, made)
