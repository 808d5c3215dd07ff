"""What is claimed about a release, for whom, and why it follows from the ledger.

A guarantee is (scope, adjacency, epsilon, delta, conditions); an epsilon is never printed without them. The functions
here are the inference rules that may turn one guarantee into another. They are theorems; nothing else may.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from accountants import (
    Adjacency,
    ApproxDP,
    Bound,
    Ledger,
    check,
    group_privacy,
    teacher_ceiling,
)
from accountants.events import distinct
from privkd.charged import bound_in, listed
from privkd.errors import CertificateError, GuaranteeError
from privkd.leaks import forbids_leaks, later_leaks, leaks_of, require_current, require_no_leaks, require_possible
from privkd.scopes import BASES, IMPLIED, Scope, check_delta
from privkd.sentence import sentence
from privkd.verification import verified
from privkd.version import __version__


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A guarantee and everything that it rests on.

    No guarantee of scope `teacher` or `training-*` has leaks: making one raises GuaranteeError. A leak that the ledger
    discloses only after a certificate was issued cannot change what that certificate prints; `verify` finds it, and no
    rule infers anything from it any more.

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
        library_version: version that issued the certificate.
        answers: number of teacher answers, for scopes that count them.
        teacher_epsilon: the same release in scope `teacher`, composed over all answers, at `teacher_delta`.
        teacher_delta: delta of `teacher_epsilon`.
        classes: number of classes, for the ceiling of scope `teacher`.
        records: how many records the guarantee covers together.
        steps: neighbouring steps of the LEDGER's adjacency that one change of the certificate takes.
        step_delta: delta of one such step; None where it is `delta` itself.
        data_dependent, sanitized: always False in this version: no cost here depends on private votes.
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

    @classmethod
    def from_ledger(
        cls,
        ledger: Ledger,
        *,
        scope: str,
        delta: float,
        basis: str | None = None,
        conditions: Sequence[str] = (),
        leaks: Sequence[str] = (),
        secure_rng: bool = True,
        classes: int | None = None,
    ) -> Certificate:
        """State what a ledger's events guarantee: nothing, if the ledger discloses a leak.

        Args:
            ledger: all events of the release.
            scope: what the events protect. `training-*` needs a basis; `synthetic-label` is stated per answer, pure.
            delta: failure mass in [0, 1) at which epsilon is computed.
            basis: one of `BASES`.
            conditions: further conditions.
            leaks: known leaks.
            secure_rng: whether the noise came from the operating system.
            classes: number of classes K, for the ceiling.

        Raises:
            GuaranteeError: a `training-*` scope without a basis (rule 4), a scope with leaks (rule 5), or a ledger that
                counts events of another scope.
            ValueError: delta is not below 1/n.
        """
        scope = Scope(scope)
        if scope.startswith("training-") and basis not in BASES:
            raise GuaranteeError(
                f"scope={scope.value!r} needs a reason why one record has bounded influence (basis), got basis={basis!r}; "
                f"known: {', '.join(sorted(BASES))}"
            )
        if ledger.unit != scope.value:
            raise GuaranteeError(
                f"scope={scope.value!r} was asked for a ledger that counts {ledger.unit!r} events; open the ledger with "
                f"unit={scope.value!r}, or use an inference rule (weakened, in_teacher_scope)"
            )
        require_possible(scope, leaks)
        check_delta(delta, ledger.n)
        bound, answer = bound_in(ledger, scope, delta)
        composed, disclosed = ledger.epsilon(delta), leaks_of(ledger)
        return cls(
            scope=Scope.NONE if math.isinf(bound.upper) or disclosed else scope,
            adjacency=ledger.adjacency,
            epsilon=bound.upper,
            delta=0.0 if answer else delta,
            accountant=bound.method,
            mechanisms=listed(ledger),
            conditions=(*((BASES[basis],) if basis else ()), *conditions),
            leaks=(*leaks, *disclosed),
            secure_rng=secure_rng,
            n_records_declared=ledger.n,
            library_version=__version__,
            answers=sum(distinct(ledger.total).values()) if answer or scope is Scope.TEACHER else None,
            teacher_epsilon=composed.upper if answer else None,
            teacher_delta=delta if answer else None,
            classes=classes,
            ledger=ledger,
        )._sealed()

    @classmethod
    def declared(
        cls,
        *,
        epsilon: float,
        delta: float,
        by: str,
        adjacency: str = "replace-one",
        scope: str = "training-record",
        n: int | None = None,
    ) -> Certificate:
        """A guarantee that somebody else vouches for, e.g. of a model trained with DP-SGD in another library.

        Args:
            epsilon: its epsilon, nats, > 0.
            delta: its delta, in [0, 1), below 1/n.
            by: who or what vouches for it.
            adjacency: which change counts as neighbouring.
            scope: what is protected.
            n: number of private records.

        Example:
            >>> print(Certificate.declared(epsilon=2.0, delta=1e-6, by="opacus 1.6"))  # doctest: +ELLIPSIS
            (2.0, 1e-06)-DP for each training record under replace-one, as declared by opacus 1.6, assuming ...
        """
        check.real(epsilon=epsilon, above=0.0)
        check_delta(delta, n)
        ledger = Ledger(adjacency=adjacency, epsilon=epsilon, delta=delta, unit=scope, n=n)
        ledger.charge(ApproxDP(epsilon=epsilon, delta=delta), where=f"declared by {by}")
        certificate = cls.from_ledger(ledger, scope=Scope(scope), delta=delta, basis="declared")
        return replace(certificate, epsilon=float(epsilon), accountant=f"declared by {by}")._sealed()

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

    def weakened(self, scope: str) -> Certificate:
        """The same guarantee stated for a scope that it implies (rule 2): `teacher` covers users and records.

        Raises:
            GuaranteeError: the implication does not hold, or there are leaks.
        """
        wanted = Scope(scope)
        require_current(self)
        if wanted is self.scope:
            return self
        require_no_leaks(self)
        if wanted not in IMPLIED.get(self.scope, set()):
            raise GuaranteeError(
                f"a guarantee of scope {self.scope.value!r} does not imply scope {wanted.value!r}; only 'teacher' implies "
                "'training-user' and 'training-record', and 'training-user' implies 'training-record'"
            )
        return replace(self, scope=wanted)._sealed()

    def assuming(self, *conditions: str) -> Certificate:
        """The same guarantee, with the same leaks, under further conditions.

        Raises:
            GuaranteeError: the ledger has disclosed a leak since this certificate was issued.
        """
        require_current(self)
        return replace(self, conditions=(*self.conditions, *conditions))._sealed() if conditions else self

    def after(self, *, private: Sequence[str] = (), what: str = "post-processing") -> Certificate:
        """The certificate of something computed from a certified release (rules 1 and 5).

        Names what the ledger has disclosed as a leak since this certificate was issued; that ends every scope.

        Args:
            private: names of uncertified private objects that were used as well, e.g. "teacher weights as initial
                weights", "early stopping on private records". Any such use ends a `training-*` or `teacher` guarantee.
            what: the computation, for the leak's text.
        """
        later = later_leaks(self.ledger, scope=self.scope, named=self.leaks)
        if not private and not later:
            return self
        used = (f"{what} used {name}, which is private and uncertified" for name in private)
        leaks, ends = tuple(dict.fromkeys((*self.leaks, *later, *used))), bool(later) or forbids_leaks(self.scope)
        return replace(self, leaks=leaks, scope=Scope.NONE if ends else self.scope)._sealed()

    def in_teacher_scope(self, *, queries_independent: bool) -> Certificate:
        """A per-answer guarantee composed over all answers (rule 3).

        Args:
            queries_independent: whether the queries depend on nothing but public data and earlier noisy answers.

        Raises:
            GuaranteeError: not a per-answer certificate, the queries depend on the teacher, or there are leaks.
        """
        require_no_leaks(self)
        if self.scope is not Scope.SYNTHETIC_LABEL or self.teacher_epsilon is None or self.teacher_delta is None:
            raise GuaranteeError(
                f"only a 'synthetic-label' certificate composes over answers, this is {self.scope.value!r}"
            )
        if not queries_independent:
            raise GuaranteeError(
                "queries that depend on the teacher outside its noisy answers are a leak without bound"
            )
        composed = replace(self, scope=Scope.TEACHER, epsilon=self.teacher_epsilon, delta=self.teacher_delta)
        return composed.assuming("the queries are independent of the teacher but for its earlier noisy answers")

    def for_group(self, size: int) -> Certificate:
        """The guarantee for `size` records together (rule 6), by group privacy.

        Raises:
            GuaranteeError: there are leaks.
        """
        return replace(self._many_steps(size), records=self.records * size)._sealed()

    def as_replace_one(self) -> Certificate:
        """An add-remove guarantee stated for replace-one (rule 6): removing one record and adding another.

        Raises:
            GuaranteeError: there are leaks.
        """
        require_current(self)
        if self.adjacency is Adjacency.REPLACE_ONE:
            return self
        return replace(self._many_steps(2), adjacency=Adjacency.REPLACE_ONE)._sealed()

    def _many_steps(self, count: int) -> Certificate:
        require_no_leaks(self)
        epsilon, delta = group_privacy(self.epsilon, self.delta, count)
        first = self.delta if self.step_delta is None else self.step_delta
        return replace(self, epsilon=epsilon, delta=delta, steps=self.steps * count, step_delta=first)

    def __post_init__(self) -> None:
        check.integer(records=self.records, at_least=1)
        check.integer(steps=self.steps, at_least=1)
        for name in ("epsilon", "delta", "step_delta", "teacher_epsilon", "teacher_delta"):
            value = getattr(self, name)
            if value is not None and not value >= 0:  # also refuses NaN
                raise ValueError(f"{name}={value!r} must be >= 0")
        require_possible(self.scope, self.leaks)

    def _sealed(self) -> Certificate:
        """Write the fingerprint of everything that is stated into the ledger's chain, where `verify` looks for it."""
        if self.ledger is not None and self._seal not in self.ledger.disclosed:
            self.ledger.disclose(self._seal)
        return self

    @property
    def _seal(self) -> str:
        stated = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "ledger"}
        return "certificate sha256:" + hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()

    def verify(self) -> Bound:
        """Recompute epsilon from the ledger and compare.

        Returns:
            The recomputed bound, in the certificate's own scope.

        Raises:
            CertificateError: there is no ledger, or the claim does not follow from it.
        """
        if self.ledger is None:
            raise CertificateError("this certificate came without its ledger; load it with privkd.load(directory)")
        bound, problems = verified(self, self.ledger)
        if self._seal not in self.ledger.disclosed:
            problems.append("it was not issued with this ledger, or was changed afterwards")
        if problems:
            raise CertificateError("the certificate does not follow from its ledger: " + "; ".join(problems))
        return bound

    def to_dict(self) -> dict[str, Any]:
        """JSON form without the ledger, but with the digest of its last entry."""
        names = [name for name in self.__dataclass_fields__ if name != "ledger"]
        values = {name: getattr(self, name) for name in names}
        if math.isinf(self.epsilon):
            values["epsilon"] = "inf"
        if self.teacher_epsilon is not None and math.isinf(self.teacher_epsilon):
            values["teacher_epsilon"] = "inf"
        digest = self.ledger.digest if self.ledger is not None else None
        return {"schema": "privkd.certificate/1", **values, "ledger_digest": digest, "sentence": str(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any], ledger: Ledger) -> Certificate:
        """Read the JSON form and tie it to its ledger.

        Raises:
            CertificateError: unknown schema or fields, or the digest is another ledger's.
        """
        values = dict(values)
        schema, digest = values.pop("schema", None), values.pop("ledger_digest", None)
        sentence = values.pop("sentence", None)
        unknown = sorted(set(values) - set(cls.__dataclass_fields__)) + sorted(
            name
            for name in ("scope", "adjacency", "epsilon", "delta", "accountant", "mechanisms")
            if name not in values
        )
        if schema != "privkd.certificate/1" or unknown:
            raise CertificateError(
                f"not a certificate of this version: schema={schema!r}, unknown or missing {unknown}"
            )
        if digest != ledger.digest:
            raise CertificateError(
                f"the certificate belongs to ledger {digest}, not to the ledger {ledger.digest} beside it"
            )
        for name in ("conditions", "leaks", "mechanisms"):
            values[name] = tuple(values.get(name, ()))
        for name in ("epsilon", "teacher_epsilon"):
            if values.get(name) is not None:
                values[name] = float(values[name])
        try:
            values["scope"], values["adjacency"] = Scope(values["scope"]), Adjacency(values["adjacency"])
            certificate = cls(**values, ledger=ledger)
        except (TypeError, ValueError, GuaranteeError) as error:
            raise CertificateError(f"the certificate has impossible values: {error}") from error
        if sentence != str(certificate):
            raise CertificateError(
                "the printed sentence of the certificate was changed; its fields say: " + str(certificate)
            )
        return certificate

    def __str__(self) -> str:
        return sentence(self)
