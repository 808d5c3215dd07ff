"""The entries of a ledger as Python objects, and the checks of their fields."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from accountants import check
from accountants.events import Event
from accountants.events.algebra import MAX_COUNT

__all__ = ["Charge", "Claim", "claim_of", "now", "number", "require_text", "whole"]

_MAX_TEXT = 10_000  # characters of a note, a place or a disclosure


@dataclass(frozen=True, slots=True)
class Charge:
    """One charged entry of a ledger.

    Attributes:
        event: what was done.
        where: the place in the program, for people.
        time: UTC, ISO 8601 in seconds.
    """

    event: Event
    where: str
    time: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One claimed guarantee about everything in a ledger.

    Attributes:
        epsilon: claimed guarantee, nats; may be infinite.
        delta: claimed failure mass.
        accountant: who computed it.
        time: UTC, ISO 8601 in seconds.
    """

    epsilon: float
    delta: float
    accountant: str
    time: str


def claim_of(record: Mapping[str, object]) -> Claim:
    """The claim in a record of a ledger.

    Raises:
        KeyError: a field is missing.
        TypeError: a field has the wrong type.
        ValueError: a field is out of range.
    """
    epsilon = record["epsilon"]
    value = math.inf if epsilon == "inf" else number(epsilon=epsilon)
    check.probability_mass(delta=record["delta"])
    require_text(accountant=record["accountant"])
    return Claim(value, number(delta=record["delta"]), str(record["accountant"]), str(record["time"]))


def number(**named: object) -> float:
    """The one named value as a float >= 0.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, nan or infinite.
    """
    check.real(at_least=0.0, **named)  # pyright: ignore[reportArgumentType]  names are not its own
    (value,) = named.values()
    return float(value)  # pyright: ignore[reportArgumentType]


def whole(**named: object) -> int:
    """The one named value as an int, 1 to 10^15.

    Raises:
        TypeError: it is no integer.
        ValueError: it is out of range.
    """
    check.integer(at_least=1, at_most=MAX_COUNT, **named)
    (value,) = named.values()
    return int(value)  # pyright: ignore[reportArgumentType]


def require_text(**named: object) -> None:
    """Refuse anything but strings of at most 10000 characters.

    Raises:
        TypeError: a value is no string.
        ValueError: a value is too long.
    """
    for name, value in named.items():
        if not isinstance(value, str):
            raise TypeError(f"{check.given(name, value)} must be a string")
        if len(value) > _MAX_TEXT:
            raise ValueError(f"{name} has {len(value)} characters; allowed are at most {_MAX_TEXT}")


def now() -> str:
    """The time, UTC, ISO 8601 in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
