"""Transcription with a guarantee for each training record, from public inputs.

Two releases, each ONE noisy table: the votes of an ensemble on clusters of public inputs, or the labels of the private
records counted in public cells (reverse nearest neighbours). The table is smoothed between neighbouring clusters with
its known noise variance, gives soft targets, and a student learns them: all of that is post-processing.
"""

from __future__ import annotations

import math
import warnings
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import Event, Gaussian, Ledger, gaussian_mu
from accountants.ledger.disclosures import Disclosure, Kind, disclose_once
from generators import SmallGenerator
from privkd.certificates.certificate import Certificate
from privkd.certificates.scopes import Scope
from privkd.errors import WeakSignalWarning
from privkd.mechanisms import BoundedSum, CellHistogram, GNMax, VoteHistogram
from privkd.mechanisms.private_value import Private
from privkd.networks.small import standardise
from privkd.teachers import TeacherEnsemble
from privkd.transcription.methods.data_free import DataFreeSettings, learn_data_free
from privkd.transcription.methods.oracles import VoteOracle
from privkd.transcription.public_geometry import Clusters, PublicGeometry, soft_targets
from privkd.transcription.request import DRIVEN_QUERIES, PUBLIC_QUERIES, Request, refuse_useless
from privkd.transcription.result import Transcription
from privkd.transcription.student_training import distil

_DROWNING = 0.5  # noise of this share of what is counted hides most answers
_FOR_FAILURES = 0.1  # share of mu^2, which adds up over Gaussian releases
_GENERATED = 1000
_LEAST_DELTA = 1e-14


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


def record_cells(*, records: int, mu: float, classes: int, queries: int) -> int:
    """How many cells to count labels in: about 8/mu records each, so a cell's count stands 5 sigma above the noise.

    At least two cells per class, at most one per five public inputs. A function of public numbers only.

    Example:
        >>> record_cells(records=1100, mu=0.3, classes=10, queries=400)
        41
    """
    wanted = records * mu / 8 if math.isfinite(mu) else math.inf
    return int(min(max(wanted, 2 * classes), max(queries / 5, classes), queries))


def by_votes(request: Request) -> Transcription:
    """One noisy vote histogram over clusters of public inputs, smoothed into soft targets (the default).

    Without public inputs, one histogram per generated query.
    """
    if request.queries is None:
        return _by_generated_votes(request)
    ensemble, queries, student = cast(TeacherEnsemble, request.teacher), request.queries, request.new_student()
    teachers, mu = len(ensemble), _mu(request, what="teachers", largest=len(ensemble))
    geometry = PublicGeometry.of(queries)
    count = vote_clusters(teachers=teachers, mu=mu, classes=request.classes, queries=len(queries))
    clusters = geometry.clusters(count, seed=request.seed)
    mechanism = VoteHistogram(_sigma(rows=len(clusters), mu=mu))
    _warn_of_noise(mechanism.sigma, against=teachers, what="votes per answer")
    _require_room(request, mechanism.event() * len(clusters))
    about, ledger = _about_ensemble(ensemble), request.new_ledger(Scope.TRAINING_RECORD)
    _count_failures(request, ensemble, ledger)

    def release() -> Tensor:
        votes = ensemble.votes(queries, clusters.assignment).counted_in(request.shared)
        return mechanism.release(votes, teachers=teachers, ledger=ledger, noise=request.noise, where="votes")

    noisy = request.paid.released(clusters.assignment, ledger, release)
    del release, ensemble  # the rest is post-processing: it uses the released table and public inputs only
    shares = noisy.numpy() / teachers
    variance = np.full(len(clusters), (mechanism.sigma / teachers) ** 2)
    targets = soft_targets(geometry.smooth(geometry.features, clusters.centres, shares, variance))
    conditions = (*about, PUBLIC_QUERIES, request.others(ledger))
    return _learn(request, student, targets, ledger, basis="disjoint-shards", conditions=conditions, method="votes")


def _by_generated_votes(request: Request) -> Transcription:
    """Votes on inputs from a generator that only the student drives; for ensembles without any public input."""
    ensemble = cast(TeacherEnsemble, request.teacher)
    mu = _mu(request, what="teachers", largest=len(ensemble))
    count = request.query_count or _GENERATED
    mechanism = VoteHistogram(_sigma(rows=count, mu=mu))
    _warn_of_noise(mechanism.sigma, against=len(ensemble), what="votes per answer")
    ledger = request.new_ledger(Scope.TRAINING_RECORD)
    _require_room(request, mechanism.event() * count)
    about = _about_ensemble(ensemble)
    _count_failures(request, ensemble, ledger)
    oracle = VoteOracle(ensemble, mechanism, ledger, request.noise, request.shared)
    settings = DataFreeSettings.spread(count)
    student, generator, history = learn_data_free(request, oracle, settings, ledger)
    conditions = (*about, DRIVEN_QUERIES, request.others(ledger))
    return _certified(
        request, student, generator, history, ledger, basis="disjoint-shards", conditions=conditions, method="votes"
    )


def by_labels(request: Request) -> Transcription:
    """One noisy argmax label per public input: the classic label-only release, kept as the ablation of `by_votes`."""
    ensemble, queries = cast(TeacherEnsemble, request.teacher), cast(Tensor, request.queries)
    student = request.new_student()
    mu = _mu(request, what="teachers", largest=len(ensemble))
    mechanism = GNMax(_sigma(rows=len(queries), mu=mu))
    _warn_of_noise(mechanism.sigma, against=len(ensemble), what="votes per answer")
    _require_room(request, mechanism.event() * len(queries))
    about, ledger = _about_ensemble(ensemble), request.new_ledger(Scope.TRAINING_RECORD)
    _count_failures(request, ensemble, ledger)

    def release() -> Tensor:
        votes = ensemble.votes(queries).counted_in(request.shared)
        return mechanism.release(votes, teachers=len(ensemble), ledger=ledger, noise=request.noise, where="labels")

    labels = request.paid.released(queries, ledger, release)
    del release, ensemble
    targets = functional.one_hot(labels, request.classes).float()
    conditions = (*about, PUBLIC_QUERIES, request.others(ledger))
    return _learn(request, student, targets, ledger, basis="disjoint-shards", conditions=conditions, method="gnmax")


def by_cells(request: Request) -> Transcription:
    """One noisy histogram of the records' labels in public cells (reverse nearest neighbours); no teacher is asked."""
    queries, records = cast(Tensor, request.queries), cast("tuple[Private, Private]", request.records)
    student = request.new_student()
    mu = _mu(request, what="records", largest=len(records[0]))
    geometry = PublicGeometry.of(queries)
    count = record_cells(records=len(records[0]), mu=mu, classes=request.classes, queries=len(queries))
    cells = geometry.clusters(count, seed=request.seed)
    mechanism = CellHistogram(_sigma(rows=1, mu=mu))
    _warn_of_noise(mechanism.sigma, against=len(records[0]) / len(cells), what="rows per cell")
    ledger = request.new_ledger(Scope.TRAINING_RECORD)

    def release() -> Tensor:
        inputs, labels = records
        return mechanism.release(
            _cell_of(inputs, geometry, cells),
            labels.counted_in(request.shared),
            shape=(len(cells), request.classes),
            ledger=ledger,
            noise=request.noise,
            where="cells",
        )

    noisy = request.paid.released(cells.assignment, ledger, release)
    del release, records
    targets = _targets_from_cells(noisy.numpy(), mechanism.sigma, geometry, cells)
    conditions = (public_numbers(request.declared_classes), PUBLIC_QUERIES, request.others(ledger))
    return _learn(request, student, targets, ledger, basis="record-votes", conditions=conditions, method="cells")


def _mu(request: Request, *, what: str, largest: int) -> float:
    """The Gaussian-DP parameter that epsilon and delta buy, if it buys at least one answer."""
    if math.isinf(request.epsilon):
        return math.inf
    if request.delta == 0:
        raise ValueError("delta=0 cannot be reached with Gaussian noise; leave delta=None, or give 0 < delta < 1/n")
    if request.delta < _LEAST_DELTA:
        raise ValueError(
            f"delta={request.delta:g} is below {_LEAST_DELTA:g}, which noise in floating point cannot honour (its tails "
            "end); give a larger delta"
        )
    mu = gaussian_mu(request.epsilon, request.delta)
    if request.count_failures:
        mu *= math.sqrt(1 - _FOR_FAILURES)
    refuse_useless(sigma=_sigma(rows=1, mu=mu), largest=largest, epsilon=request.epsilon, what=what)
    return mu


def _warn_of_noise(sigma: float, *, against: float, what: str) -> None:
    """Say before anything is charged that the noise drowns most answers; all from public numbers."""
    if sigma > _DROWNING * against:
        warnings.warn(
            f"noise of standard deviation {sigma:.3g} stands against {against:.3g} {what}: expect a student not far from "
            "chance. Raise epsilon, bring more data or teachers, or ask less",
            WeakSignalWarning,
            stacklevel=6,
        )


def _sigma(*, rows: int, mu: float) -> float:
    """Noise std per count: sqrt(2 rows)/mu, a hair up so that rounding cannot cost more than was asked."""
    return 0.0 if math.isinf(mu) else math.sqrt(2 * rows) / mu * (1 + 1e-10)


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
    return 1 / (math.sqrt(_FOR_FAILURES) * gaussian_mu(request.epsilon, request.delta)) * (1 + 1e-10)


def _require_room(request: Request, answers: Event) -> None:
    """Refuse answers, with the count of failures where it was asked for, that the common ledger has no room for."""
    if request.count_failures and math.isfinite(request.epsilon):
        answers = answers + Gaussian(_std_of_failures(request))
    request.require_room(answers)


def _cell_of(inputs: Private, geometry: PublicGeometry, cells: Clusters) -> Private:
    return Private(cells.nearest(geometry.of_others(inputs.unsafe_value())), origin="cells of private records")


def _targets_from_cells(noisy: np.ndarray, sigma: float, geometry: PublicGeometry, cells: Clusters) -> Tensor:
    """Class shares per cell from noisy counts, smoothed with the variance that follows from the noise."""
    floor = max(3 * sigma * math.sqrt(noisy.shape[1]), 1.0)  # the noisy total of an empty cell stays below this
    total = np.maximum(noisy.sum(axis=1, keepdims=True), floor)
    variance = ((sigma / total) ** 2).ravel() + 1e-3
    return soft_targets(geometry.smooth(geometry.features, cells.centres, noisy / total, variance))


def _learn(
    request: Request,
    student: nn.Module,
    targets: Tensor,
    ledger: Ledger,
    *,
    basis: str,
    conditions: tuple[str, ...],
    method: str,
) -> Transcription:
    queries = cast(Tensor, request.queries)
    if request.student is None:
        standardise(student, queries)
    history = distil(student, queries, targets, seed=request.seed)
    return _certified(request, student, None, history, ledger, basis=basis, conditions=conditions, method=method)


def _certified(
    request: Request,
    student: nn.Module,
    generator: SmallGenerator | None,
    history: list[dict[str, float]],
    ledger: Ledger,
    *,
    basis: str,
    conditions: tuple[str, ...],
    method: str,
) -> Transcription:
    certificate = Certificate.from_ledger(
        ledger,
        scope=request.scope,
        delta=request.delta,
        basis=basis,
        conditions=(*conditions, *request.assumptions),
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
