"""The words of a report: what a scope means, what no release protects, how numbers are printed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context

from privkd.certificates.scopes import Scope
from privkd.report.study import Release


@dataclass(frozen=True, slots=True)
class Protection:
    """The words and the style that tell a scope from the others.

    Attributes:
        rank: order of the classes of guarantees, strongest first.
        badge: a few words on every row.
        unit: what one epsilon is about.
        promise: the end of a sentence that begins with "in this student".
        style: CSS class.
    """

    rank: int
    badge: str
    unit: str
    promise: str
    style: str


_NOBODY = "nobody in the training data is protected: ε is about single {} of the teacher"
PROTECTION = {
    Scope.TRAINING_RECORD: Protection(
        0, "protects training records", "per training record", "each training record is protected", "record"
    ),
    Scope.TRAINING_USER: Protection(
        0, "protects training users", "per training user", "all records of each person are protected", "record"
    ),
    Scope.TEACHER: Protection(
        0, "protects the whole teacher", "whole teacher", "the whole teacher is protected, hence every record", "record"
    ),
    Scope.TRAINING_LABEL: Protection(
        1, "protects labels only", "per training label", "only the label of each training record is protected", "label"
    ),
    Scope.SYNTHETIC_LABEL: Protection(
        2, "does NOT protect training records", "per answer of the teacher", _NOBODY.format("answers"), "answer"
    ),
    Scope.SYNTHETIC_SAMPLE: Protection(
        2, "does NOT protect training records", "per synthetic sample", _NOBODY.format("samples"), "answer"
    ),
    Scope.NONE: Protection(3, "no guarantee", "", "there is no guarantee at all", "none"),
}

RUN = "private run"
"""The method of a private training run that has released no student yet."""
_METHODS = {
    "votes": "noisy votes of teachers",
    "gnmax": "noisy winners of votes of teachers",
    "cells": "private labels counted in public cells",
    "dpsd": "noisy answers to generated inputs",
    "certified": "answers of a certified model",
    "private-training": "private training: clipped and noisy gradients",
    RUN: "a private training run; no student was released from it into this folder",
}


def method_in_words(method: str) -> str:
    """How a student was made, for people; whatever else a folder says is its author's word."""
    return _METHODS.get(method, f"{method} (the author's word)")


def protection(scope: str) -> Protection:
    """How to tell a reader what a scope protects; an unknown scope protects nothing."""
    return PROTECTION[Scope(scope)] if scope in set(Scope) else PROTECTION[Scope.NONE]


def change_in_words(adjacency: str) -> str:
    """Which change of the private data a guarantee hides."""
    return {
        "add-remove": "adding or removing one",
        "replace-one": "replacing one by another",
        "zero-out": "blanking one out",
    }.get(adjacency, adjacency)


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
    runs = [r.name for r in releases if r.method == RUN]
    nothing = [r.name for r in releases if r.scope == Scope.NONE or r.void]
    limits = [
        "The private records, the teachers and their raw answers. Only the students (and generators) listed "
        "here were made to be released.",
        "Several releases at once. Every certificate counts its own release; whoever sees several of them "
        "knows what they cost together, which is more.",
        "Groups. Where one record is protected, several records of one family or person are protected less. For k records "
        "the epsilon at the same delta is often more than k times as large; a certificate can be stated for them.",
        "What is true of people in general. Differential privacy hides whether one record was used, not what "
        "could be learned from everybody else's.",
        "What the certificates call public. That is public inputs, the number of records, the set of classes, record ids.",
        "Test figures. An accuracy is computed from test records; if those need protection, publishing it is "
        "a release of its own, which no ledger here counts.",
        "The machine. Timing, memory, logs and the low-order bits of floating-point noise are outside the proofs.",
    ]
    if answers:
        limits.insert(
            0,
            f"Training records, in {', '.join(answers)}. The epsilon there is about one answer of the teacher; one "
            "training record may have changed every answer.",
        )
    if runs:
        limits.insert(
            0,
            f"The folder of a run, {', '.join(runs)}. It is no release: its checkpoints stay private. Publish what was "
            "released from it.",
        )
    if nothing:
        limits.insert(0, f"Anything at all, in {', '.join(nothing)}. There is no guarantee that holds.")
    return tuple(limits)
