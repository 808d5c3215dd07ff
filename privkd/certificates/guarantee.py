"""A guarantee as a value: what is claimed, for whom, and everything that it rests on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from accountants import Adjacency, Ledger, check, teacher_ceiling
from accountants.events.event import MAX_COUNT
from accountants.ledger.disclosures import Disclosure, Kind
from privkd.certificates.scopes import IMPLIED, Scope
from privkd.errors import GuaranteeError


@dataclass(frozen=True, kw_only=True)
class Guarantee:
    """What a certificate states. No guarantee of scope `teacher` or `training-*` has leaks: making one raises GuaranteeError.

    Attributes:
        scope: what is protected.
        adjacency: which change counts as neighbouring.
        epsilon: upper bound in nats, for this scope.
        delta: failure mass; 0 for a pure guarantee.
        accountant: how epsilon was computed.
        mechanisms: the charged events in their ledger form, with the place of each; runs of equal charges are merged.
        conditions: what must be true outside this library.
        leaks: ways in which private data reached the release outside the accounting.
        secure_rng: False when noise was seeded, which voids the guarantee outside tests.
        n_records_declared: number of private records, if declared.
        library_version: the version that issued it.
        answers: number of teacher answers, for scopes that count them.
        teacher_epsilon: the same release in scope `teacher`, composed over all answers, at `teacher_delta`.
        teacher_delta: delta of `teacher_epsilon`.
        classes: number of classes, for the ceiling of scope `teacher`.
        records: how many records the guarantee covers together.
        steps: neighbouring steps of the LEDGER's adjacency that one change of the certificate takes.
        step_delta: delta of one such step, where the guarantee for several steps follows by `accountants.group_privacy`;
            None where it follows from the mechanisms.
        data_dependent, sanitized: always False: no cost here depends on private votes.
        ledger: the events that `verify` recomputes; travels beside the certificate.
    """

    scope: Scope
    adjacency: Adjacency
    epsilon: float
    delta: float
    accountant: str
    mechanisms: tuple[dict[str, Any], ...]
    conditions: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    secure_rng: bool = True
    n_records_declared: int | None = None
    library_version: str = ""
    answers: int | None = None
    teacher_epsilon: float | None = None
    teacher_delta: float | None = None
    classes: int | None = None
    records: int = 1
    steps: int = 1
    step_delta: float | None = None
    data_dependent: bool = False
    sanitized: bool = False
    ledger: Ledger | None = field(default=None, compare=False, repr=False)
    # The ledger and the seal with which a rule made it, see `issuance.inferred`.
    _inferred: tuple[Ledger, str] | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check.integer(records=self.records, steps=self.steps, at_least=1, at_most=MAX_COUNT)
        for name in ("epsilon", "delta", "step_delta", "teacher_epsilon", "teacher_delta"):
            value = getattr(self, name)
            if value is None:
                continue
            if not value >= 0:  # also refuses NaN
                raise ValueError(f"{name}={value!r} must be >= 0")
            object.__setattr__(self, name, float(value))
        for name in ("records", "steps", "classes", "answers", "n_records_declared"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, int(getattr(self, name)))
        require_possible(self.scope, self.leaks)

    @property
    def protects_training_data(self) -> bool:
        """Whether the scope says anything about training records or users."""
        return bool(IMPLIED.get(self.scope, {self.scope}) & {Scope.TRAINING_RECORD, Scope.TRAINING_USER})

    @property
    def composed_claim(self) -> tuple[float, float]:
        """(epsilon, delta) of ALL events together, as a ledger claims it: for per-answer scopes the composed value."""
        if self.teacher_epsilon is not None and self.teacher_delta is not None:
            return self.teacher_epsilon, self.teacher_delta
        return self.epsilon, self.delta

    @property
    def ceiling(self) -> float | None:
        """Largest mean agreement with the teacher that scope `teacher` allows (data-free), else None."""
        if self.scope is not Scope.TEACHER or self.classes is None:
            return None
        return teacher_ceiling(self.epsilon, self.delta, self.classes)

    @property
    def stated(self) -> dict[str, Any]:
        """Everything that is stated, by name: all but the ledger."""
        return {part.name: getattr(self, part.name) for part in fields(self) if part.compare}

    @property
    def seal(self) -> str:
        """Fingerprint of everything that is stated, as the ledger of an issued certificate discloses it."""
        fingerprint = hashlib.sha256(json.dumps(self.stated, sort_keys=True).encode()).hexdigest()
        return Disclosure(Kind.SEAL, fingerprint).written


def require_possible(scope: Scope, leaks: Iterable[str]) -> None:
    """Refuse a guarantee that its leaks end (rule 5).

    Raises:
        GuaranteeError: scope `teacher` or `training-*`, with leaks.
    """
    leaks = tuple(leaks)
    if leaks and Scope(scope).forbids_leaks:
        raise GuaranteeError(f"scope={str(scope)!r} cannot be certified with leaks: {'; '.join(leaks)}")
