"""The vocabulary of guarantees: scopes, what implies what, and why a record can have bounded influence."""

import math
from decimal import ROUND_CEILING, Context
from enum import StrEnum

from accountants import check


class Scope(StrEnum):
    """What a guarantee is about: which change of the input it hides."""

    TRAINING_RECORD = "training-record"
    TRAINING_USER = "training-user"
    TRAINING_LABEL = "training-label"
    TEACHER = "teacher"
    SYNTHETIC_LABEL = "synthetic-label"
    SYNTHETIC_SAMPLE = "synthetic-sample"
    NONE = "none"

    @property
    def is_per_answer(self) -> bool:
        """Whether a guarantee of this scope is about one answer or sample at a time, and then pure."""
        return self in (Scope.SYNTHETIC_LABEL, Scope.SYNTHETIC_SAMPLE)

    @property
    def forbids_leaks(self) -> bool:
        """Whether a guarantee of this scope is about private data as a whole, so that one leak ends it (rule 5)."""
        return self is Scope.TEACHER or self.startswith("training-")


PROTECTED = {
    Scope.TRAINING_RECORD: "for each training record",
    Scope.TRAINING_USER: "for all records of each training user",
    Scope.TRAINING_LABEL: "for the label of each training record (inputs are public)",
    Scope.TEACHER: "for the whole teacher, hence for any number of its training records",
    Scope.SYNTHETIC_LABEL: "per synthetic query label",
    Scope.SYNTHETIC_SAMPLE: "per synthetic sample",
}
"""Who or what a guarantee of each scope is for, as printed in sentences."""

IMPLIED = {
    Scope.TEACHER: {Scope.TEACHER, Scope.TRAINING_USER, Scope.TRAINING_RECORD},
    Scope.TRAINING_USER: {Scope.TRAINING_USER, Scope.TRAINING_RECORD},
}
"""Scopes that a scope implies, itself included; a scope that is absent implies only itself (rule 2)."""

BASES = {
    "disjoint-shards": "every record was seen by exactly one teacher (disjoint shards)",
    "record-votes": "every record adds one vote to one public cell",
    "per-example-clipping": "every record's gradient was clipped before noise was added",
    "bounded-statistics": "every record's contribution to the released sums is bounded",
    "strongly-convex-erm": "the training objective is strongly convex and its output was perturbed",
    "declared": "the declaration is true; it was not checked here",
}
"""Why one training record has bounded influence (rule 4). Without one of these there is no training-* guarantee."""


def rounded_up(value: float, digits: int = 4) -> str:
    """A number rounded up to some significant digits: a printed epsilon is never too low."""
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    return str(float(Context(prec=digits, rounding=ROUND_CEILING).create_decimal(repr(float(value)))))


def percent_up(share: float) -> str:
    """A share as per cent, rounded up to a tenth: a printed ceiling is never too low.

    Example:
        >>> percent_up(0.23197)
        '23.2%'
    """
    return f"{math.ceil(share * 1000) / 10:.1f}%"


def check_delta(delta: float, n: int | None) -> None:
    """Raise ValueError unless 0 <= delta < 1 and delta < 1/n, the largest failure mass that means anything."""
    check.real(delta=delta, at_least=0.0, below=1.0)
    if n is not None and delta >= 1 / n:
        raise ValueError(
            f"delta={delta:g} is not below 1/n = {1 / n:.3g} for n={n} records: it would allow one record to be published "
            f"outright. Use at most {1 / (10 * n):.1g}"
        )
