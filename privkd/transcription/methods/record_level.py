"""What methods with a guarantee for each training record share: what it rests on, and the student of soft targets."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from accountants import Event, Ledger
from generators import SmallGenerator
from privkd.certificates.certificate import Certificate
from privkd.networks.small import standardise
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.transcription.methods.failed_teachers import count_failures, require_room_beside_failures
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription
from privkd.transcription.student_training import distil


def begin_votes(request: Request, ensemble: TeacherEnsemble, answers: Event) -> tuple[tuple[str, ...], Ledger]:
    """Find room for the answers of an ensemble, and release the count of failed teachers first, where it was asked for.

    Args:
        request: of the transcription.
        ensemble: whose answers will be released.
        answers: what they cost all together.

    Returns:
        What the guarantee rests on beside disjoint shards, and the ledger of the release.

    Raises:
        BudgetExceeded: the common ledger has no room.
    """
    require_room_beside_failures(request, answers)
    conditions, ledger = _about_ensemble(ensemble), request.new_ledger()
    count_failures(request, ensemble, ledger)
    return conditions, ledger


def _about_ensemble(ensemble: TeacherEnsemble) -> tuple[str, ...]:
    """What the guarantee of an ensemble rests on beside disjoint shards."""
    manifest = ensemble.manifest
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


def learn(
    request: Request,
    student: nn.Module,
    targets: Tensor,
    ledger: Ledger,
    *,
    about: tuple[str, ...],
    basis: str,
    method: str,
) -> Transcription:
    """Train a student on soft targets for the public queries; arguments as for `certified`."""
    queries = cast(Tensor, request.queries)
    if request.student is None:
        standardise(student, queries)
    history = distil(student, queries, targets, seed=request.seed)
    return certified(request, student, None, history, ledger, about=about, basis=basis, method=method)


def certified(
    request: Request,
    student: nn.Module,
    generator: SmallGenerator | None,
    history: list[dict[str, float]],
    ledger: Ledger,
    *,
    about: tuple[str, ...],
    basis: str,
    method: str,
) -> Transcription:
    """The transcription, with the certificate of what its ledger holds.

    Args:
        request: that asked for it.
        student: trained.
        generator: of its inputs, if there is one.
        history: of its losses.
        ledger: of the release.
        about: conditions beside those on queries, on other releases and on what the caller brought along.
        basis: why one record has bounded influence.
        method: name of the method.
    """
    certificate = Certificate.from_ledger(
        ledger,
        scope=request.scope,
        delta=request.delta,
        basis=basis,
        conditions=(*about, request.about_queries, request.others(ledger), *request.assumptions),
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
        method=method,
        spec=request.spec,
    )
