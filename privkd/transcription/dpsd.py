"""DPSD, label-sensitive: a bare teacher transcribed by randomized answers on generated or public queries.

Scope `synthetic-label` (the papers'): epsilon protects ONE answer; the composed `teacher` value is printed beside it.
Scope `teacher`: the number of queries is fixed, every answer gets the eps0 whose exact composition stays within epsilon.
Source: arXiv 2601.19090, label-sensitive branch; what the paper's adjacency is follows from analysis, not from its text.
"""

from __future__ import annotations

import math
from typing import cast

from accountants import Gaussian, Ledger, RandomizedResponse, calibrate
from privkd.certificate import Certificate, Scope
from privkd.errors import BudgetExceeded
from privkd.mechanisms import KaryResponse, SelectiveResponse
from privkd.teachers import BareTeacher
from privkd.transcription.data_free import DataFreeSettings, learn_data_free
from privkd.transcription.oracles import CertifiedOracle, KaryOracle, Oracle, TopOracle
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription

_QUERIES = {Scope.SYNTHETIC_LABEL: 4000, Scope.TEACHER: 400}
_PAPER_CANDIDATES = 5
_DRIVEN = "queries depend on public randomness and earlier noisy answers only"


def by_answers(request: Request) -> Transcription:
    """Transcribe a bare module by randomized answers; see the module's docstring."""
    count = len(request.queries) if request.queries is not None else request.query_count or _QUERIES[request.scope]
    ledger = request.new_ledger(request.scope, capped=request.scope is Scope.TEACHER)
    oracle = _oracle(request, ledger, count)
    settings = DataFreeSettings.spread(count)
    student, generator, history = learn_data_free(request, oracle, settings)
    certificate = Certificate.from_ledger(
        ledger,
        scope=request.scope,
        delta=request.delta,
        conditions=_conditions(request),
        secure_rng=request.noise.secure,
        classes=request.classes,
    )
    ledger.claim(*certificate.composed_claim, certificate.accountant)
    return Transcription(
        student=student,
        generator=generator,
        certificate=certificate,
        ledger=ledger,
        history=history,
        method="dpsd",
        spec=request.spec,
    )


def _oracle(request: Request, ledger: Ledger, count: int) -> Oracle:
    teacher = cast(BareTeacher, request.teacher)
    if math.isinf(request.epsilon):
        ledger.charge(Gaussian(sigma=0.0), where="dpsd/answers without noise")
        return CertifiedOracle(teacher)
    if request.mode == "paper":
        k = min(request.classes, _PAPER_CANDIDATES)
        return TopOracle(teacher, SelectiveResponse(request.epsilon), k, ledger, request.noise)
    eps0 = request.epsilon
    if request.scope is Scope.TEACHER:
        eps0 = answer_level(request.epsilon, request.delta, classes=request.classes, queries=count)
    return KaryOracle(teacher, KaryResponse(eps0, request.classes), ledger, request.noise)


def answer_level(epsilon: float, delta: float, *, classes: int, queries: int) -> float:
    """Largest eps0 of one answer such that all answers together stay within (epsilon, delta).

    Example:
        >>> round(answer_level(1.0, 1e-5, classes=10, queries=1000), 4)
        0.0189
    """
    found = calibrate(
        lambda eps0: RandomizedResponse(k=classes, eps0=eps0) * queries, epsilon, delta, adjacency="replace-one"
    ).value
    if found <= 0:
        raise BudgetExceeded(f"epsilon={epsilon:g} cannot buy queries={queries} answers; ask fewer")
    return found


def _conditions(request: Request) -> tuple[str, ...]:
    if request.scope is Scope.SYNTHETIC_LABEL:
        return (_DRIVEN if request.queries is None else "queries are public", "every query was answered once")
    return (_DRIVEN if request.queries is None else "queries are public", "no other release was made from this teacher")
