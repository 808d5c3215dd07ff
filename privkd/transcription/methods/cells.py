"""The labels of the private records, counted in public cells (reverse nearest neighbours): no teacher is asked."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
from torch import Tensor

from privkd.mechanisms import CellHistogram
from privkd.mechanisms.private_value import Private
from privkd.transcription.methods.gaussian_noise import affordable_mu, noise_of, warn_of_noise
from privkd.transcription.methods.method import Method
from privkd.transcription.methods.record_level import RecordRelease, public_numbers
from privkd.transcription.public_geometry import Clusters, PublicGeometry, soft_targets
from privkd.transcription.request import Request
from privkd.transcription.result import Transcription


def record_cells(*, records: int, mu: float, classes: int, queries: int) -> int:
    """How many cells to count labels in: about 8/mu records each, so a cell's count stands 5 sigma above the noise.

    At least two cells per class, at most one per five public inputs. A function of public numbers only.

    Example:
        >>> record_cells(records=1100, mu=0.3, classes=10, queries=400)
        41
    """
    wanted = records * mu / 8 if math.isfinite(mu) else math.inf
    return int(min(max(wanted, 2 * classes), max(queries / 5, classes), queries))


def by_cells(request: Request) -> Transcription:
    """One noisy histogram of the records' labels in public cells (reverse nearest neighbours); no teacher is asked."""
    queries, records = cast(Tensor, request.queries), cast("tuple[Private, Private]", request.records)
    student = request.new_student()
    mu = affordable_mu(request, what="records", largest=len(records[0]))
    geometry = PublicGeometry.of(queries)
    count = record_cells(records=len(records[0]), mu=mu, classes=request.classes, queries=len(queries))
    cells = geometry.clusters(count, seed=request.seed)
    mechanism = CellHistogram(noise_of(rows=1, mu=mu))
    warn_of_noise(mechanism.sigma, against=len(records[0]) / len(cells), what="rows per cell")
    about = public_numbers(request.declared_classes)
    made = RecordRelease(request, request.new_ledger(), "cells", "record-votes", (about,))

    def release() -> Tensor:
        inputs, labels = records
        return mechanism.release(
            _cell_of(inputs, geometry, cells),
            labels.counted_in(request.shared),
            shape=(len(cells), request.classes),
            ledger=made.ledger,
            noise=request.noise,
            where="cells",
        )

    noisy = request.paid.released(cells.assignment, made.ledger, release)
    del release, records
    return made.learned(student, _targets_from_cells(noisy.numpy(), mechanism.sigma, geometry, cells))


def _cell_of(inputs: Private, geometry: PublicGeometry, cells: Clusters) -> Private:
    return Private(cells.nearest(geometry.of_others(inputs.unsafe_value())), origin="cells of private records")


def _targets_from_cells(noisy: np.ndarray, sigma: float, geometry: PublicGeometry, cells: Clusters) -> Tensor:
    """Class shares per cell from noisy counts, smoothed with the variance that follows from the noise."""
    floor = max(3 * sigma * math.sqrt(noisy.shape[1]), 1.0)  # the noisy total of an empty cell stays below this
    total = np.maximum(noisy.sum(axis=1, keepdims=True), floor)
    variance = ((sigma / total) ** 2).ravel() + 1e-3
    return soft_targets(geometry.smooth(geometry.features, cells.centres, noisy / total, variance))


CELLS = Method(name="cells", run=by_cells, teacher=None, queries=True, records=True, rank=0)
