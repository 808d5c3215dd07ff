"""One noisy label per public input, the class that most teachers vote for: the classic label-only release."""

from __future__ import annotations

from typing import cast

from torch import Tensor
from torch.nn import functional

from privkd.mechanisms import GNMax
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.teachers.teacher import TeacherKind
from privkd.transcription.methods.gaussian_noise import affordable_mu, noise_of, warn_of_noise
from privkd.transcription.methods.method import Method
from privkd.transcription.methods.record_level import RecordRelease
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription


def by_labels(request: Request) -> Transcription:
    """One noisy argmax label per public input, kept as the ablation of votes on clusters."""
    ensemble, queries = cast(TeacherEnsemble, request.teacher), cast(Tensor, request.queries)
    student = request.new_student()
    mu = affordable_mu(request, what="teachers", largest=len(ensemble))
    mechanism = GNMax(noise_of(rows=len(queries), mu=mu))
    warn_of_noise(mechanism.sigma, against=len(ensemble), what="votes per answer")
    made = RecordRelease.of_votes(request, mechanism.event() * len(queries), method="gnmax")

    def release() -> Tensor:
        votes = ensemble.votes(queries).counted_in(request.shared)
        return mechanism.release(votes, teachers=len(ensemble), ledger=made.ledger, noise=request.noise, where="labels")

    labels = request.paid.released(queries, made.ledger, release)
    del release, ensemble
    return made.learned(student, functional.one_hot(labels, request.classes).float())


GNMAX = Method(name="gnmax", run=by_labels, teacher=TeacherKind.ENSEMBLE, queries=True)
