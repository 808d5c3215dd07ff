"""DPSD, label-sensitive: a bare teacher transcribed by randomized answers on generated or public queries.

Scope `synthetic-label` (the papers'): epsilon protects ONE answer; the composed `teacher` value is printed beside it.
Scope `teacher`: the number of queries is fixed, every answer gets the eps0 whose exact composition stays within epsilon.
Source: arXiv 2601.19090, label-sensitive branch; what the paper's adjacency is follows from analysis, not from its text.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import Gaussian, Ledger, RandomizedResponse, calibrate, teacher_ceiling
from privkd.certificates.certificate import Certificate
from privkd.certificates.scopes import Scope
from privkd.errors import BudgetExceeded, GuaranteeError
from privkd.mechanisms import KaryResponse, SelectiveResponse
from privkd.mechanisms.randomized_response import keep_probability
from privkd.networks.small import standardise
from privkd.teachers.bare_teacher import BareTeacher
from privkd.teachers.teacher import Teacher, TeacherKind
from privkd.transcription.methods.data_free import DataFreeSettings, learn_data_free
from privkd.transcription.methods.method import Method
from privkd.transcription.methods.oracles import KaryOracle, NoiselessOracle, Oracle, TopOracle
from privkd.transcription.public_geometry import PublicGeometry, soft_targets
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription
from privkd.transcription.student_training import distil

_QUERIES = {Scope.SYNTHETIC_LABEL: 4000, Scope.TEACHER: 400}
_PAPER_CANDIDATES = 5
_MOST_CLUSTERS = 1000


def by_answers(request: Request) -> Transcription:
    """Transcribe a bare module by randomized answers; see the module's docstring."""
    ledger = request.new_ledger()
    generator = None
    if request.queries is not None:
        student, history = _on_public_queries(request, request.queries, ledger)
    else:
        count = request.query_count or _QUERIES[request.scope]
        oracle = _oracle(request, ledger, count)
        student, generator, history = learn_data_free(request, oracle, DataFreeSettings.spread(count), ledger)
    once = request.scope is Scope.SYNTHETIC_LABEL
    condition = "every query was answered once" if once else request.others(ledger, what="this teacher")
    certificate = Certificate.from_ledger(
        ledger,
        scope=request.scope,
        delta=request.delta,
        conditions=(request.about_queries, condition, *request.assumptions),
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


def _on_public_queries(request: Request, queries: Tensor, ledger: Ledger) -> tuple[nn.Module, list[dict[str, float]]]:
    """Every distinct public input is answered once; answers are unbiased, averaged in clusters and smoothed (ours)."""
    student = request.new_student()
    queries = torch.unique(queries, dim=0)  # a repeated input would be answered twice, and its epsilon double
    if request.student is None:
        standardise(student, queries)
    uniform = torch.full((len(queries), request.classes), 1 / request.classes)
    oracle = _oracle(request, ledger, len(queries))
    answers = request.paid.released(queries, ledger, lambda: oracle.ask(queries, uniform))
    if math.isinf(request.epsilon):
        return student, distil(student, queries, answers.softmax(dim=1), seed=request.seed)
    geometry = PublicGeometry.of(queries)
    clusters = geometry.clusters(_MOST_CLUSTERS, seed=request.seed)
    shares, variance = unbiased_shares(
        answers.argmax(dim=1), eps0=_eps0(request, len(queries)), classes=request.classes
    )
    sizes = torch.bincount(clusters.assignment).double()
    means = torch.zeros(len(clusters), shares.shape[1], dtype=torch.float64)
    means.index_add_(0, clusters.assignment, shares).div_(sizes[:, None])
    smoothed = geometry.smooth(geometry.features, clusters.centres, means.numpy(), (variance / sizes).numpy())
    return student, distil(student, queries, soft_targets(smoothed), seed=request.seed)


def unbiased_shares(answers: Tensor, *, eps0: float, classes: int) -> tuple[Tensor, float]:
    """One-hot answers corrected for k-ary response: their mean is the one-hot of the true answer.

    With keep probability p and q = p e^-eps0: (onehot - q)/(p - q), of variance at most about p (1 - p)/(p - q)^2.

    Args:
        answers: released classes, int64, shape (n,).
        eps0: pure level of one answer, nats, > 0.
        classes: number of classes K.

    Returns:
        Shares, float64, (n, K), and the largest variance of an entry.

    Example:
        >>> shares, variance = unbiased_shares(torch.tensor([1]), eps0=1.0, classes=2)
        >>> [round(x, 4) for x in shares[0].tolist()], round(variance, 4)
        ([-0.582, 1.582], 0.9207)
    """
    p = keep_probability(eps0, classes)
    q, gap = p * math.exp(-eps0), -p * math.expm1(-eps0)
    shares = (functional.one_hot(answers, classes).double() - q) / gap
    return shares, max(p * (1 - p), q * (1 - q)) / gap**2


def _oracle(request: Request, ledger: Ledger, count: int) -> Oracle:
    teacher = cast(BareTeacher, request.teacher)
    if math.isinf(request.epsilon):
        request.require_room(Gaussian(sigma=0.0))
        return NoiselessOracle(teacher, ledger, request.shared)
    if request.mode == "paper":
        k, selective = min(request.classes, _PAPER_CANDIDATES), SelectiveResponse(request.epsilon)
        request.require_room(selective.event(k) * count)
        return TopOracle(teacher, selective, k, ledger, request.noise, request.shared)
    mechanism = KaryResponse(_eps0(request, count), request.classes)
    request.require_room(mechanism.event() * count)
    return KaryOracle(teacher, mechanism, ledger, request.noise, request.shared)


def _eps0(request: Request, count: int) -> float:
    """Level of one answer: all of epsilon per answer, or what composes to epsilon over all answers."""
    if request.scope is not Scope.TEACHER:
        return request.epsilon
    return answer_level(request.epsilon, request.delta, classes=request.classes, queries=count)


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


class _BareModule(Method):
    """The method for modules of which nothing is known: it says what would give the scope that it cannot reach."""

    def scope_for(self, teacher: Teacher, wanted: Scope | None, *, epsilon: float, classes: int) -> Scope:
        if wanted is None or wanted in self.scopes:
            return super().scope_for(teacher, wanted, epsilon=epsilon, classes=classes)
        ceiling = teacher_ceiling(epsilon, 1e-5, classes) if math.isfinite(epsilon) else 1.0
        raise GuaranteeError(
            f"epsilon={epsilon:g} was asked for scope={wanted.value!r}, but a bare module gives no such guarantee: nothing is "
            "known about how one training record changed the teacher.\nWays out:\n"
            "  - TeacherEnsemble.fit(make_model, inputs, labels, teachers=100)   keeps the scope; or pass records=(inputs, labels) "
            "with public queries\n"
            f"  - transcribe(..., scope='teacher')          true, composed over all queries; expected agreement <= {ceiling:.3f}\n"
            "  - transcribe(..., scope='synthetic-label')  the papers' mode; the certificate says what it is not\n"
            "  - CertifiedModel(model, certificate)        if the model was itself trained with differential privacy"
        )


_SCOPES = (Scope.SYNTHETIC_LABEL, Scope.TEACHER)
DPSD = _BareModule(name="dpsd", run=by_answers, teacher=TeacherKind.MODULE, scopes=_SCOPES, rank=1, has_paper_mode=True)
