"""The JSON form of a certificate: every field has one type, and is checked before anything is computed from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from accountants import Adjacency
from accountants.check import shown
from accountants.events.event import MAX_COUNT
from privkd.certificates.scopes import Scope
from privkd.errors import CertificateError

SCHEMA = "privkd.certificate/1"

Reader = Callable[[Any], Any]

_BESIDE = ("schema", "ledger_digest", "sentence")


def json_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by name as JSON values; an infinite epsilon becomes the string "inf"."""
    return {name: "inf" if isinstance(value, float) and math.isinf(value) else value for name, value in fields.items()}


def fields_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in the JSON form, as a certificate takes them.

    Raises:
        CertificateError: schema or fields are unknown, missing or of another type; the field is named.
    """
    values = {name: value for name, value in document.items() if name not in _BESIDE}
    odd = sorted(set(values) - set(_FIELDS)) + sorted(_NEEDED - set(values))
    if document.get("schema") != SCHEMA or odd:
        raise CertificateError(
            f"not a certificate of this version: schema={shown(document.get('schema'), 80)}, unknown or missing "
            f"{shown(odd, 200)}"
        )
    for name, value in values.items():
        try:
            values[name] = _FIELDS[name](value)
        except (TypeError, ValueError) as error:
            raise CertificateError(
                f"the certificate has impossible values: {name}={shown(repr(value), 80)} {error}"
            ) from None
    return values


def _only(what: str, allowed: Callable[[Any], bool], made: Reader = lambda value: value) -> Reader:
    """A reader of one value, which refuses what is not allowed."""

    def read(value: Any) -> Any:
        if not allowed(value):
            raise TypeError(f"must be {what}")
        return made(value)

    return read


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _or_none(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


_text = _only("a string", lambda value: isinstance(value, str))
_texts = _only(
    "a list of strings", lambda value: isinstance(value, list | tuple), lambda value: tuple(map(_text, value))
)
_objects = _only(
    "a list of objects",
    lambda value: isinstance(value, list | tuple) and all(isinstance(item, dict) for item in value),
    tuple,
)
_flag = _only("true or false", lambda value: isinstance(value, bool))
_number = _only("a finite number >= 0", lambda value: _is_number(value, int | float) and 0 <= value < math.inf, float)
_count = _only("a whole number from 0 to 10^15", lambda value: _is_number(value, int) and 0 <= value <= MAX_COUNT)


def _number_or_infinite(value: Any) -> float:
    return math.inf if value in ("inf", math.inf) else _number(value)


_FIELDS: dict[str, Reader] = {
    "scope": Scope,
    "adjacency": Adjacency,
    "epsilon": _number_or_infinite,
    "delta": _number,
    "accountant": _text,
    "mechanisms": _objects,
    "conditions": _texts,
    "leaks": _texts,
    "secure_rng": _flag,
    "n_records_declared": _or_none(_count),
    "library_version": _text,
    "answers": _or_none(_count),
    "teacher_epsilon": _or_none(_number_or_infinite),
    "teacher_delta": _or_none(_number),
    "classes": _or_none(_count),
    "records": _count,
    "steps": _count,
    "step_delta": _or_none(_number),
    "data_dependent": _flag,
    "sanitized": _flag,
}
_NEEDED = {"scope", "adjacency", "epsilon", "delta", "accountant", "mechanisms"}
