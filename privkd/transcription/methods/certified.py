"""A certified model transcribed: every answer is post-processing, so queries are free and epsilon is only checked."""

from __future__ import annotations

import hashlib
from typing import cast

import torch

from accountants import ApproxDP, Event, Ledger
from privkd.certificates.certificate import Certificate
from privkd.certificates.leaks import carry_leaks
from privkd.certificates.other_releases import about_others
from privkd.certificates.scopes import Scope, rounded_up
from privkd.errors import BudgetExceeded
from privkd.networks.fingerprint import digest
from privkd.networks.small import standardise
from privkd.teachers.certified_model import CertifiedTeacher
from privkd.teachers.teacher import Teacher, TeacherKind
from privkd.transcription.methods.data_free import DataFreeSettings, learn_data_free
from privkd.transcription.methods.method import Method
from privkd.transcription.methods.oracles import CertifiedOracle
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription
from privkd.transcription.student_training import distil


def by_certified_answers(request: Request) -> Transcription:
    """Distil a certified model on public queries, or without data if there are none.

    Raises:
        BudgetExceeded: the model's certificate costs more than the epsilon or delta asked for.
    """
    teacher = cast(CertifiedTeacher, request.teacher)
    certificate = teacher.certificate
    if certificate.epsilon > request.epsilon or certificate.delta > request.delta:
        raise BudgetExceeded(
            f"the teacher's certificate is ({rounded_up(certificate.epsilon)}, {certificate.delta:g})-DP, more than the asked "
            f"({request.epsilon:g}, {request.delta:g}); distillation cannot lower it. Ask for at least that, or train the teacher "
            "with less"
        )
    mine = _count_training(teacher, request.common)
    generator, ledger = None, cast(Ledger, certificate.ledger)
    if request.queries is not None:
        student = request.new_student()
        if request.student is None:
            standardise(student, request.queries)
        targets = torch.softmax(teacher.logits(request.queries).unsafe_value(), dim=1)
        history = distil(student, request.queries, targets, seed=request.seed)
    else:
        count = request.query_count or DataFreeSettings().queries
        settings = DataFreeSettings.spread(count)
        student, generator, history = learn_data_free(request, CertifiedOracle(teacher), settings, ledger)
    if request.common is not None:
        carry_leaks(request.common, ledger)
    certificate = certificate.after()  # names what its ledger has disclosed as a leak since it was issued
    if not certificate.leaks:
        certificate = certificate.weakened(request.scope)
    others = () if request.common is None else (about_others((request.common,), mine, request.delta),)
    further = (request.about_queries, *others, *request.assumptions)
    certificate = certificate.assuming(*(text for text in further if text not in certificate.conditions)).sealed()
    return Transcription(
        student=student,
        generator=generator,
        certificate=certificate,
        ledger=cast(Ledger, certificate.ledger),
        history=history,
        method="certified",
        spec=request.spec,
    )


def _count_training(certified: CertifiedTeacher, common: Ledger | None) -> int:
    """Charge what the model's training cost to the ledger of all releases from its data, once; how many charges there are its own.

    Raises:
        BudgetExceeded: the ledger has no room for it.
    """
    own = cast(Ledger, certified.certificate.ledger)
    if common is None:
        return 0
    common.refresh()
    runs = {charge.where for charge in own.charges if charge.where.startswith("private gradients of run ")}
    if runs and {charge.where for charge in own.charges} <= {charge.where for charge in common.charges}:
        return len(own.charges)  # it was trained with this ledger
    # Equal declarations of two models are two trainings: the weights, which are certified, tell them apart.
    what = repr([(charge.time, charge.where, charge.event) for charge in own.charges]) + digest(certified.module).hex()
    where = f"certified model {hashlib.sha256(what.encode()).hexdigest()[:16]}"
    if all(charge.where != where for charge in common.charges):
        common.charge(_cost(certified.certificate, own, common), where=where)
    return 1


def _cost(certificate: Certificate, own: Ledger, common: Ledger) -> Event:
    """The events of a certificate, or what it states under the adjacency of another ledger."""
    if own.adjacency is common.adjacency:
        return own.total
    stated = certificate.as_replace_one()
    return ApproxDP(epsilon=stated.epsilon, delta=stated.delta)


class _PostProcessing(Method):
    """The method whose guarantee is the one that its teacher has."""

    def scope_for(self, teacher: Teacher, wanted: Scope | None, *, epsilon: float, classes: int) -> Scope:
        certificate = cast(CertifiedTeacher, teacher).certificate
        return certificate.scope if wanted is None else certificate.weakened(wanted).scope


CERTIFIED = _PostProcessing(
    name="certified", run=by_certified_answers, teacher=TeacherKind.CERTIFIED, scopes=(), rank=1, is_charged=False
)
