"""Frozen configs from `key=value` texts, typed by their annotations."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, Union

Config = TypeVar("Config")
Reader = Callable[[str], object]

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def configure(kind: type[Config], settings: Iterable[str] = ()) -> Config:
    """A config with some of its defaults replaced.

    Args:
        kind: a dataclass. Its fields may be int, float (finite), bool, str, a Literal of these, a tuple of these
            (commas between), or one of them or None (written `none`).
        settings: `key=value` texts, each key once.

    Returns:
        An instance; what the class itself refuses is passed on.

    Raises:
        TypeError: a field that was set has a type that a text cannot give.
        ValueError: texts without `=`, unknown or repeated keys, values of the wrong type; all of them in one message.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Settings:
        ...     epochs: int = 20
        ...     sides: tuple[int, ...] = (8, 8)
        >>> configure(Settings, ["sides=16,16"])
        Settings(epochs=20, sides=(16, 16))
        >>> configure(Settings, ["epoch=3"])
        Traceback (most recent call last):
        ...
        ValueError: Settings: 'epoch' is no setting; did you mean 'epochs'? Settings: epochs, sides
    """
    hints = _annotations(kind)
    values: dict[str, object] = {}
    problems: list[str] = []
    for text in settings:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            problems.append(f"{text!r} is not of the form key=value")
        elif key not in hints:
            close = get_close_matches(key, hints, n=1, cutoff=0.0)
            hint = f"; did you mean {close[0]!r}?" if close else ";"
            problems.append(f"{key!r} is no setting{hint} Settings: {', '.join(hints) or 'none'}")
        elif key in values:
            problems.append(f"{key!r} is set twice; set it once")
        else:
            reader, allowed = _reader(hints[key], f"{kind.__name__}.{key}")
            try:
                values[key] = reader(value)
            except ValueError:
                problems.append(f"{key}={value!r} must be {allowed}")
    if problems:
        joined = problems[0] if len(problems) == 1 else "".join(f"\n  - {problem}" for problem in problems)
        raise ValueError(f"{kind.__name__}: {joined}")
    return kind(**values)


def from_values(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A config from the values of a JSON file, in which tuples have become lists.

    Raises:
        ValueError: unknown or missing names, or values that the class refuses.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Settings:
        ...     sides: tuple[int, ...] = (8, 8)
        >>> from_values(Settings, {"sides": [16, 16]})
        Settings(sides=(16, 16))
    """
    known = _annotations(kind)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{kind.__name__} has no settings {unknown}; it has {', '.join(known) or 'none'}")
    try:
        return kind(**{name: _tuples(value) for name, value in values.items()})
    except TypeError as error:
        raise ValueError(f"{kind.__name__}: {error}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def described(kind: type) -> list[tuple[str, str, str]]:
    """Name, default and allowed values of every setting of a config class, in words, in order."""
    hints = _annotations(kind)
    rows = []
    for name, hint in hints.items():
        default = kind.__dataclass_fields__[name].default
        if default is dataclasses.MISSING:
            shown = "-"
        else:
            shown = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
        try:
            allowed = _reader(hint, name)[1]
        except TypeError:
            allowed = "in Python only"
        rows.append((name, shown, allowed))
    return rows


def _annotations(kind: type) -> dict[str, Any]:
    """The annotations of the fields that can be given, in order."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind) if field.init}


def _reader(annotation: Any, owner: str) -> tuple[Reader, str]:
    """A function that reads a text as an annotation says, and what it allows, in words."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _choice(inner)
    if origin in (Union, types.UnionType) and len(inner) == 2 and types.NoneType in inner:
        [other] = [kind for kind in inner if kind is not types.NoneType]
        read, allowed = _reader(other, owner)
        return lambda text: None if text.lower() == "none" else read(text), f"{allowed}, or none"
    if origin is tuple and len(inner) == 2 and inner[1] is Ellipsis:
        read, allowed = _reader(inner[0], owner)
        return lambda text: tuple(read(part.strip()) for part in text.split(",") if text), f"a list, each {allowed}"
    if origin is tuple and inner:
        return _row([_reader(entry, owner) for entry in inner])
    raise TypeError(f"{owner} has the type {annotation}, which key=value cannot give; set it in Python")


def _choice(options: tuple[object, ...]) -> tuple[Reader, str]:
    known = {str(option): option for option in options}

    def read(text: str) -> object:
        if text not in known:
            raise ValueError(text)
        return known[text]

    return read, f"one of {', '.join(known)}"


def _row(readers: list[tuple[Reader, str]]) -> tuple[Reader, str]:
    """A reader of tuples with a fixed number of entries."""

    def read(text: str) -> object:
        parts = text.split(",")
        return tuple(reader(part.strip()) for (reader, _), part in zip(readers, parts, strict=True))

    return read, f"{len(readers)} values with commas between: {'; '.join(allowed for _, allowed in readers)}"


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError(text)
    return _TRUTH[text.lower()]


_PLAIN: dict[Any, tuple[Reader, str]] = {
    int: (int, "a whole number"),
    float: (_real, "a finite number"),
    bool: (_truth, "true or false"),
    str: (str, "a text"),
}
