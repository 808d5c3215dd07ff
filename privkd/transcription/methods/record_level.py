"""What methods with a guarantee for each training record share: its ledger, its conditions, its student and its certificate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from accountants import Event, Gaussian, Ledger, gaussian_mu
from accountants.ledger.disclosures import Disclosure, Kind, disclose_once
from generators import SmallGenerator
from privkd.certificates.certificate import Certificate
from privkd.mechanisms import BoundedSum
from privkd.mechanisms.private_value import Private
from privkd.networks.small import standardise
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.teachers.shards import Manifest
from privkd.transcription.methods.gaussian_noise import FOR_FAILURES
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription
from privkd.transcription.student_training import distil


@dataclass(frozen=True, eq=False)
class RecordRelease:
    """A release with a guarantee for each training record.

    Attributes:
        request: that asked for it.
        ledger: of the release.
        method: name of the method that makes it.
        basis: why one record has bounded influence.
        about: what else that rests on.
    """

    request: Request
    ledger: Ledger
    method: str
    basis: str
    about: tuple[str, ...]

    @classmethod
    def of_votes(cls, request: Request, answers: Event, *, method: str) -> RecordRelease:
        """A release of answers of an ensemble; a count of failed teachers comes first, where it was asked for.

        Raises:
            BudgetExceeded: the common ledger has no room for both.
        """
        _require_room(request, answers)
        ensemble, ledger = cast(TeacherEnsemble, request.teacher), request.new_ledger()
        _count_failures(request, ensemble, ledger)
        return cls(request, ledger, method, "disjoint-shards", _about_ensemble(ensemble.manifest))

    def learned(self, student: nn.Module, targets: Tensor) -> Transcription:
        """The transcription, once the student has learned soft targets for the public queries, shape (n, K)."""
        queries = cast(Tensor, self.request.queries)
        if self.request.student is None:
            standardise(student, queries)
        return self.certified(student, None, distil(student, queries, targets, seed=self.request.seed))

    def certified(
        self, student: nn.Module, generator: SmallGenerator | None, history: list[dict[str, float]]
    ) -> Transcription:
        """The transcription, with the certificate of what the ledger holds."""
        request, ledger = self.request, self.ledger
        certificate = Certificate.from_ledger(
            ledger,
            scope=request.scope,
            delta=request.delta,
            basis=self.basis,
            conditions=(*self.about, request.about_queries, request.others(ledger), *request.assumptions),
            secure_rng=request.noise.secure,
        )
        if not certificate.leaks:  # with a leak there is nothing to claim
            ledger.claim(certificate.epsilon, certificate.delta, certificate.accountant)
        return Transcription(
            student=student,
            generator=generator,
            certificate=certificate,
            ledger=ledger,
            history=history,
            method=self.method,
            spec=request.spec,
        )


def _about_ensemble(manifest: Manifest) -> tuple[str, ...]:
    """What the guarantee of an ensemble rests on beside disjoint shards."""
    ids = (
        "record ids do not depend on what a record holds"
        if manifest.keyed
        else "the shards are those that were declared"
    )
    return (
        ids,
        "every teacher's training saw its own shard only and its settings were not tuned on these records",
        public_numbers(manifest.declared_classes),
    )


def public_numbers(declared_classes: bool) -> str:
    """The condition on the numbers of records and of classes."""
    classes = "" if declared_classes else " (it was read off the labels)"
    return f"the number of records and the number of classes{classes} are public"


def _require_room(request: Request, answers: Event) -> None:
    """Refuse answers, with the count of failures where it was asked for, that the common ledger has no room for."""
    if request.count_failures and math.isfinite(request.epsilon):
        answers = answers + Gaussian(_std_of_failures(request))
    request.require_room(answers)


def _count_failures(request: Request, ensemble: TeacherEnsemble, ledger: Ledger) -> None:
    """A noisy count of the teachers that failed, if it was asked for, as a note in the ledger.

    One replaced record changes one teacher, so the count by one: rows of 0 or 1 less 1/2 have norm 1/2 and move by at most 1.
    """
    if not request.count_failures or math.isinf(request.epsilon):
        return
    std = _std_of_failures(request)

    def release() -> Tensor:
        failed = ensemble.failures.counted_in(request.shared)
        centred = Private(failed.unsafe_value() - 0.5, origin=failed.origin, ledgers=failed.ledgers)
        mechanism = BoundedSum(2 * std)
        return mechanism.release(centred, bound=0.5, ledger=ledger, noise=request.noise, where="failed teachers")

    found = float(request.paid.released(torch.zeros(1), ledger, release)[0]) + len(ensemble) / 2
    text = f"about {max(found, 0):.0f} of {len(ensemble)} teachers failed (noisy; standard deviation {std:.1f})"
    disclose_once(ledger, Disclosure(Kind.NOTE, text))


def _std_of_failures(request: Request) -> float:
    """Standard deviation of the noise on the count of failed teachers."""
    return 1 / (math.sqrt(FOR_FAILURES) * gaussian_mu(request.epsilon, request.delta)) * (1 + 1e-10)
