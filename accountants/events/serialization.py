"""How events are written and read: their arguments as text, and events from JSON-able data."""

from collections.abc import Mapping
from dataclasses import fields
from typing import TypeVar

from accountants import check
from accountants.check import shown
from accountants.errors import UnsupportedEvent

MAX_DEPTH = 100  # keeps every walk over an event far from the recursion limit
_NAMED = 5  # unknown fields that a message names

E = TypeVar("E")


def parameter_names(kind: type) -> list[str]:
    """Names of the public constructor arguments of an event class, in order; private data does not compare."""
    return [item.name for item in fields(kind) if item.init and item.compare]


def arguments_text(event: object, names: list[str]) -> str:
    """The named parameters as they stand in a call: one by its value, several by name, without those that are None."""
    values = {name: number_text(value) for name in names if (value := getattr(event, name)) is not None}
    return values[names[0]] if len(names) == 1 else ", ".join(f"{name}={text}" for name, text in values.items())


def number_text(value: object) -> str:
    """The shortest text that reads back as the same number: 1.0 gives "1".

    Example:
        >>> number_text(1.0), number_text(0.01), number_text(10), number_text((2.0,))
        ('1', '0.01', '10', '(2,)')
    """
    if isinstance(value, tuple):
        inside = ", ".join(map(number_text, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value).removesuffix(".0")


def read(data: object, kinds: Mapping[str, type[E]], *, depth: int = 0) -> E:
    """The event that `Event.to_dict` wrote, of one of these kinds; anything unknown is refused, never skipped.

    Args:
        data: what was written.
        kinds: event classes by their type names.
        depth: how many events it lies inside.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"{check.given('event', data)} must be an object with a 'type', as Event.to_dict writes it")
    if depth > MAX_DEPTH:
        raise ValueError(f"events nested deeper than {MAX_DEPTH} levels; use a repeat with a count")
    type_name = data.get("type")
    kind = kinds.get(type_name) if isinstance(type_name, str) else None
    if kind is None:
        raise UnsupportedEvent(
            f"event {check.given('type', type_name)} is unknown; supported: {', '.join(sorted(kinds))}"
        )
    names = parameter_names(kind)
    missing = [name for name in names if name not in data]
    if missing:
        raise ValueError(f"event type {type_name!r} lacks {', '.join(missing)}; it needs {', '.join(names)}")
    extra = sorted(shown(str(name), 40) for name in data if name not in {"type", *names})
    if extra:
        more = f" and {len(extra) - _NAMED} more" if len(extra) > _NAMED else ""
        raise UnsupportedEvent(
            f"event type {type_name!r} carries unknown fields {', '.join(extra[:_NAMED])}{more}, which may change its cost; "
            f"supported: {', '.join(names)}"
        )
    return kind(**{name: _value(name, data[name], kinds, depth + 1) for name in names})


def _value(name: str, value: object, kinds: Mapping[str, type[object]], depth: int) -> object:
    if name == "event":
        return read(value, kinds, depth=depth)
    if name == "events":
        if not isinstance(value, list | tuple):
            raise TypeError(f"{check.given('events', value)} must be a list of events")
        return tuple(read(part, kinds, depth=depth) for part in value)
    return tuple(value) if isinstance(value, list) else value
