"""Certificates: guarantees that a ledger proves, and the inference rules between them.

A guarantee is (scope, adjacency, epsilon, delta, conditions); an epsilon is never printed without them. The rules here
may turn one guarantee into another. They are theorems; nothing else may.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accountants import Adjacency, ApproxDP, Bound, Ledger, check
from accountants.check import shown
from accountants.ledger.disclosures import disclose_seeded
from privkd.certificates.charges import DECLARED, answers_in, bound_in, declared_in, listed
from privkd.certificates.form import SCHEMA, fields_of, json_of
from privkd.certificates.groups import Steps, for_steps
from privkd.certificates.guarantee import Guarantee, require_possible
from privkd.certificates.issuance import inferred, require_founded, require_issued, seal
from privkd.certificates.leaks import later_leaks, leaks_of, require_current, require_no_leaks
from privkd.certificates.scopes import BASES, IMPLIED, Scope, check_delta
from privkd.certificates.sentence import sentence
from privkd.certificates.statement import Statement, joined, record
from privkd.certificates.verification import verified
from privkd.errors import CertificateError, GuaranteeError
from privkd.version import __version__


@dataclass(frozen=True, kw_only=True)
class Certificate(Guarantee):
    """A guarantee that follows from its ledger; its attributes are those of `Guarantee`.

    `from_ledger` issues a certificate, which writes what it states into the ledger. The rules write nothing: what they infer
    from an issued certificate verifies in this process, and for whoever reads it once it is `sealed`, as
    `Transcription.save` does. What was changed on the way, for example by `dataclasses.replace`, does not verify, and no
    rule infers anything from it.

    A leak that the ledger discloses only after a certificate was issued cannot change what that certificate prints; `verify`
    finds it, and no rule infers anything from it any more.
    """

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
        """Issue what a ledger's events guarantee: nothing, if the ledger discloses a leak.

        Issuing is an act of release. It writes into the ledger what is stated and the seal of the certificate: a later statement
        from the same charges must assume at least as much, and one that is made after further charges carries the earlier
        conditions along.

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
            GuaranteeError: a `training-*` scope without a basis (rule 4), a scope with leaks (rule 5), a ledger that
                counts events of another scope, or less than what was stated from the same charges before.
            ValueError: delta is not below 1/n.
        """
        scope = Scope(scope)
        require_founded(ledger, scope, basis)
        require_possible(scope, leaks)
        check_delta(delta, ledger.n)
        bound, is_per_answer = bound_in(ledger, scope, delta)
        composed, disclosed, vouched = ledger.epsilon(delta), leaks_of(ledger), declared_in(ledger)
        bases = joined((BASES[basis],) if basis else (), (BASES["declared"],) if vouched else ())
        wanted = Statement(str(basis).lower(), str(classes).lower(), joined(bases, conditions), tuple(leaks))
        stated = record(ledger, wanted)
        if not secure_rng:
            disclose_seeded(ledger)
        certificate = cls(
            scope=Scope.NONE if math.isinf(bound.upper) or disclosed else scope,
            adjacency=ledger.adjacency,
            epsilon=bound.upper,
            delta=0.0 if is_per_answer else delta,
            accountant=vouched or bound.method,
            mechanisms=listed(ledger),
            conditions=stated.conditions,
            leaks=joined(stated.leaks, disclosed),
            secure_rng=secure_rng,
            n_records_declared=ledger.n,
            library_version=__version__,
            answers=answers_in(ledger),
            teacher_epsilon=composed.upper if is_per_answer else None,
            teacher_delta=delta if is_per_answer else None,
            classes=classes,
            ledger=ledger,
        )
        seal(certificate, ledger)
        return certificate

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
        ledger.charge(ApproxDP(epsilon=epsilon, delta=delta), where=f"{DECLARED}{by}")
        return cls.from_ledger(ledger, scope=scope, delta=delta, basis="declared")

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
        return inferred(self, scope=wanted)

    def assuming(self, *conditions: str) -> Certificate:
        """The same guarantee, with the same leaks, under further conditions.

        Raises:
            GuaranteeError: the ledger has disclosed a leak since this certificate was issued.
        """
        require_current(self)
        return inferred(self, conditions=(*self.conditions, *conditions)) if conditions else self

    def after(self, *, private: Sequence[str] = (), what: str = "post-processing") -> Certificate:
        """The certificate of something computed from a certified release (rules 1 and 5).

        Names what the ledger has disclosed as a leak since this certificate was issued; that ends every scope.

        Args:
            private: names of uncertified private objects that were used as well, e.g. "teacher weights as initial
                weights", "early stopping on private records". Any such use ends a `training-*` or `teacher` guarantee.
            what: the computation, for the leak's text.
        """
        later = later_leaks(self, require_issued(self))
        if not private and not later:
            return self
        used = (f"{what} used {name}, which is private and uncertified" for name in private)
        ends = bool(later) or self.scope.forbids_leaks
        return inferred(self, leaks=joined(self.leaks, (*later, *used)), scope=Scope.NONE if ends else self.scope)

    def in_teacher_scope(self, *, queries_independent: bool) -> Certificate:
        """A per-answer guarantee composed over all answers (rule 3).

        Args:
            queries_independent: whether the queries depend on nothing but public data and earlier noisy answers.

        Raises:
            GuaranteeError: not a per-answer certificate, the queries depend on the teacher, or there are leaks.
        """
        require_no_leaks(self)
        if self.steps > 1:
            raise GuaranteeError(f"it speaks of {self.records} answers together; compose the certificate of one answer")
        if self.scope is not Scope.SYNTHETIC_LABEL or self.teacher_epsilon is None or self.teacher_delta is None:
            raise GuaranteeError(
                f"only a 'synthetic-label' certificate composes over answers, this is {self.scope.value!r}"
            )
        if not queries_independent:
            raise GuaranteeError(
                "queries that depend on the teacher outside its noisy answers are a leak without bound"
            )
        independent = "the queries are independent of the teacher but for its earlier noisy answers"
        return inferred(
            self,
            scope=Scope.TEACHER,
            epsilon=self.teacher_epsilon,
            delta=self.teacher_delta,
            conditions=(*self.conditions, independent),
        )

    def for_group(self, size: int) -> Certificate:
        """The guarantee for `size` records together (rule 6).

        Delta stays what it is, and epsilon is computed from what the mechanisms do to a group (`accountants.group`): for
        Gaussian noise it grows faster than `size` times. Where nothing is proven for an event, the general rule
        `accountants.group_privacy` is used, at a smaller delta per record if that is possible.

        Args:
            size: number of records, >= 1.

        Raises:
            GuaranteeError: there are leaks, or delta would not lie below 1/n.
        """
        check.integer(size=size, at_least=1)
        return self._for_steps(self.steps * int(size), self.adjacency, records=self.records * int(size))

    def as_replace_one(self) -> Certificate:
        """An add-remove guarantee stated for replace-one (rule 6): removing one record and adding another.

        Raises:
            GuaranteeError: there are leaks, or delta would not lie below 1/n.
        """
        require_current(self)
        if self.adjacency is Adjacency.REPLACE_ONE:
            return self
        return self._for_steps(self.steps * 2, Adjacency.REPLACE_ONE, records=self.records)

    def _for_steps(self, count: int, adjacency: Adjacency, *, records: int) -> Certificate:
        ledger = require_no_leaks(self)
        changed = for_steps(self, ledger, Steps(count, are_alike=adjacency is ledger.adjacency))
        return inferred(self, steps=count, adjacency=adjacency, records=records, **changed)

    def sealed(self) -> Certificate:
        """The same certificate, whose seal is in its ledger now, so that whoever reads both can verify it.

        Raises:
            CertificateError: it was changed after it was issued or inferred, or has no ledger.
            LedgerError, OSError: the ledger cannot be written.
        """
        seal(self, require_issued(self))
        return self

    def verify(self) -> Bound:
        """Recompute epsilon from the ledger and compare. What a rule inferred in this process verifies before it is sealed, too.

        Returns:
            The recomputed bound, in the certificate's own scope.

        Raises:
            CertificateError: there is no ledger, or the claim does not follow from it.
        """
        if self.ledger is None:
            raise CertificateError("this certificate came without its ledger; load it with privkd.load(directory)")
        bound, problems = verified(self, self.ledger)
        if problems:
            raise CertificateError("the certificate does not follow from its ledger: " + "; ".join(problems))
        return bound

    def to_dict(self) -> dict[str, Any]:
        """JSON form without the ledger, but with the digest of its last entry.

        What a rule inferred is sealed before: `certificate.weakened("training-record").sealed().to_dict()`. Without its seal in the
        ledger nobody who reads it can verify it.
        """
        digest = None if self.ledger is None else self.ledger.digest
        return {"schema": SCHEMA, **json_of(self.stated), "ledger_digest": digest, "sentence": str(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any], ledger: Ledger) -> Certificate:
        """Read the JSON form and tie it to its ledger; `verify` says whether it follows from it.

        Raises:
            CertificateError: unknown schema, fields or types, or the digest is another ledger's.
        """
        fields, digest = fields_of(values), values.get("ledger_digest")
        if digest != ledger.digest:
            raise CertificateError(
                f"the certificate belongs to ledger {shown(digest, 80)}, not to the ledger {ledger.digest} beside it"
            )
        try:
            certificate = cls(**fields, ledger=ledger)
        except (TypeError, ValueError, GuaranteeError) as error:
            raise CertificateError(f"the certificate has impossible values: {error}") from error
        if values.get("sentence") != str(certificate):
            raise CertificateError(
                f"the printed sentence of the certificate was changed; its fields say: {shown(certificate, 2000)}"
            )
        return certificate

    def __str__(self) -> str:
        return sentence(self)
