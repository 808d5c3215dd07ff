"""The entries of a ledger as Python objects, and the checks of their fields."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from accountants import check
from accountants.events import Event

_MAX_TEXT = 10_000  # characters of a note, a place or a disclosure


@dataclass(frozen=True, slots=True)
class Charge:
    """A charged event in a ledger.

    Attributes:
        event: what was done.
        where: the place in the program, for people.
        time: UTC, ISO 8601 in seconds.
        index: place in the ledger, from 0, claims and disclosures counted too. No two charges of a ledger have the same one,
            and a later charge has a larger one.
    """

    event: Event
    where: str
    time: str
    index: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed guarantee about everything in a ledger.

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
    value = math.inf if epsilon == "inf" else check.as_float(epsilon=epsilon, at_least=0.0)
    delta = check.as_float(delta=record["delta"], at_least=0.0, below=1.0)
    return Claim(value, delta, as_text(accountant=record["accountant"]), as_text(time=record["time"]))


def as_text(**named: object) -> str:
    """The one named value as a plain string of at most 10000 characters.

    Raises:
        TypeError: it is no string.
        ValueError: it is too long.
    """
    ((name, value),) = named.items()
    if not isinstance(value, str):
        raise TypeError(f"{check.given(name, value)} must be a string")
    if len(value) > _MAX_TEXT:
        raise ValueError(f"{name} has {len(value)} characters; allowed are at most {_MAX_TEXT}")
    return str.__str__(value)  # of a text enum or a numpy string the text itself


def now() -> str:
    """The time, UTC, ISO 8601 in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
