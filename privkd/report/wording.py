"""The words of a report: what a scope means, what no release protects, how numbers are printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context

from privkd.report.study import Release
from privkd.scopes import Scope


@dataclass(frozen=True, slots=True)
class Protection:
    """How a scope is told apart from the others: by words first.

    Attributes:
        rank: order of the groups on the page.
        group: heading of the group.
        badge: a few words on every card and row.
        unit: what one epsilon is about.
        style: CSS class.
    """

    rank: int
    group: str
    badge: str
    unit: str
    style: str


_RECORDS = "Guarantees for the people in the training data"
_ANSWERS = "Not a guarantee for the people in the training data"
PROTECTION = {
    Scope.TRAINING_RECORD: Protection(0, _RECORDS, "protects training records", "per training record", "record"),
    Scope.TRAINING_USER: Protection(0, _RECORDS, "protects training users", "per training user", "record"),
    Scope.TEACHER: Protection(0, _RECORDS, "protects the whole teacher", "whole teacher", "record"),
    Scope.TRAINING_LABEL: Protection(
        1, "Guarantees for training labels only", "protects labels only", "per training label", "label"
    ),
    Scope.SYNTHETIC_LABEL: Protection(
        2, _ANSWERS, "does NOT protect training records", "per answer of the teacher", "answer"
    ),
    Scope.SYNTHETIC_SAMPLE: Protection(
        2, _ANSWERS, "does NOT protect training records", "per synthetic sample", "answer"
    ),
    Scope.NONE: Protection(3, "No guarantee", "no guarantee", "", "none"),
}


def protection(scope: str) -> Protection:
    """How to tell a reader what a scope protects; an unknown scope protects nothing."""
    return PROTECTION[Scope(scope)] if scope in set(Scope) else PROTECTION[Scope.NONE]


def upward(value: float | str, digits: int = 4) -> str:
    """A number rounded up to some significant digits, because a printed epsilon is never too low.

    Example:
        >>> upward(2.99998), upward(11147.3), upward(1.0), upward("inf")
        ('3', '11150', '1', '∞')
    """
    number = float(value)
    if math.isinf(number):
        return "∞"
    short = Context(prec=digits, rounding=ROUND_CEILING).create_decimal(repr(number)).normalize()
    return f"{short:f}" if 1e-4 <= number < 1e9 or number == 0 else f"{short:e}"


def limits_of(releases: Sequence[Release]) -> tuple[str, ...]:
    """What the releases of a report do not protect, whatever their numbers are."""
    answers = [r.name for r in releases if protection(r.scope).style == "answer"]
    nothing = [r.name for r in releases if r.scope == Scope.NONE]
    limits = [
        "The private records, the teachers and their raw answers. Only the students (and generators) listed "
        "here were made to be released.",
        "Several releases at once. Every certificate counts its own release; whoever sees several of them "
        "knows what they cost together, which is more.",
        "Groups. A family of k records is protected by about k times the epsilon of one record.",
        "What is true of people in general. Differential privacy hides whether one record was used, not what "
        "could be learned from everybody else's.",
        "What the certificates call public: public inputs, the number of records, the set of classes, record ids.",
        "Test figures. An accuracy is computed from test records; if those need protection, publishing it is "
        "a release of its own, which no ledger here counts.",
        "The machine. Timing, memory, logs and the low-order bits of floating-point noise are outside the proofs.",
    ]
    if answers:
        limits.insert(
            0,
            f"Training records, in {', '.join(answers)}: the epsilon there is about one answer of the "
            "teacher. One training record may have changed every answer.",
        )
    if nothing:
        limits.insert(0, f"Anything at all, in {', '.join(nothing)}: there is no guarantee that holds.")
    return tuple(limits)
