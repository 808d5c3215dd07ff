"""The votes of an ensemble, as ONE noisy table over clusters of public inputs.

The table is smoothed between neighbouring clusters with its known noise variance, gives soft targets, and a student learns
them: all of that is post-processing. Without public inputs the ensemble votes on generated ones.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from torch import Tensor

from privkd.mechanisms import VoteHistogram
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.teachers.teacher import TeacherKind
from privkd.transcription.methods.data_free import DataFreeSettings, learn_data_free
from privkd.transcription.methods.gaussian_noise import affordable_mu, noise_of, warn_of_noise
from privkd.transcription.methods.method import Method
from privkd.transcription.methods.oracles import VoteOracle
from privkd.transcription.methods.record_level import RecordRelease
from privkd.transcription.public_geometry import PublicGeometry, soft_targets
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription

_GENERATED = 1000


def vote_clusters(*, teachers: int, mu: float, classes: int, queries: int) -> int:
    """How many clusters to ask about: as many as keep the noise of a count near a fifth of the votes.

    The noise is sqrt(2 C)/mu votes, so C = (teachers * mu)^2 / 20 gives 0.32 * teachers; at least two clusters per class,
    at most one per five public inputs. A function of public numbers only.

    Example:
        >>> vote_clusters(teachers=100, mu=0.3, classes=10, queries=400)
        45
    """
    wanted = (teachers * mu) ** 2 / 20 if math.isfinite(mu) else math.inf
    return int(min(max(wanted, 2 * classes), max(queries / 5, classes), queries))


def by_votes(request: Request) -> Transcription:
    """One noisy vote histogram over clusters of public inputs, smoothed into soft targets (the default).

    Without public inputs, one histogram per generated query.
    """
    if request.queries is None:
        return _by_generated_votes(request)
    ensemble, queries, student = cast(TeacherEnsemble, request.teacher), request.queries, request.new_student()
    teachers, mu = len(ensemble), affordable_mu(request, what="teachers", largest=len(ensemble))
    geometry = PublicGeometry.of(queries)
    count = vote_clusters(teachers=teachers, mu=mu, classes=request.classes, queries=len(queries))
    clusters = geometry.clusters(count, seed=request.seed)
    mechanism = VoteHistogram(noise_of(rows=len(clusters), mu=mu))
    warn_of_noise(mechanism.sigma, against=teachers, what="votes per answer")
    made = RecordRelease.of_votes(request, mechanism.event() * len(clusters), method="votes")

    def release() -> Tensor:
        votes = ensemble.votes(queries, clusters.assignment).counted_in(request.shared)
        return mechanism.release(votes, teachers=teachers, ledger=made.ledger, noise=request.noise, where="votes")

    noisy = request.paid.released(clusters.assignment, made.ledger, release)
    del release, ensemble  # the rest is post-processing: it uses the released table and public inputs only
    shares = noisy.numpy() / teachers
    variance = np.full(len(clusters), (mechanism.sigma / teachers) ** 2)
    targets = soft_targets(geometry.smooth(geometry.features, clusters.centres, shares, variance))
    return made.learned(student, targets)


def _by_generated_votes(request: Request) -> Transcription:
    """Votes on inputs from a generator that only the student drives; for ensembles without any public input."""
    ensemble = cast(TeacherEnsemble, request.teacher)
    mu = affordable_mu(request, what="teachers", largest=len(ensemble))
    count = request.query_count or _GENERATED
    mechanism = VoteHistogram(noise_of(rows=count, mu=mu))
    warn_of_noise(mechanism.sigma, against=len(ensemble), what="votes per answer")
    made = RecordRelease.of_votes(request, mechanism.event() * count, method="votes")
    oracle = VoteOracle(ensemble, mechanism, made.ledger, request.noise, request.shared)
    return made.certified(*learn_data_free(request, oracle, DataFreeSettings.spread(count), made.ledger))


VOTES = Method(name="votes", run=by_votes, teacher=TeacherKind.ENSEMBLE, rank=1)
