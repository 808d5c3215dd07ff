"""Retrieval of people over cameras (re-identification): cumulative matching characteristic and mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from privkd.metrics.inputs import Flags, floats, integers, require_same_length


@dataclass(frozen=True)
class Retrieval:
    """How early the right pictures come in rankings of a gallery.

    Attributes:
        cmc: share of queries with a right picture among the first k, by k.
        mean_average_precision: mean over the queries of their average precision.
        queries: how many were scored.
        skipped: how many had no right picture left in the gallery, and were left out.
    """

    cmc: dict[int, float]
    mean_average_precision: float
    queries: int
    skipped: int


def retrieval(
    distances: ArrayLike,
    query_identities: ArrayLike,
    gallery_identities: ArrayLike,
    *,
    query_cameras: ArrayLike | None = None,
    gallery_cameras: ArrayLike | None = None,
    ranks: Sequence[int] = (1, 5, 10),
) -> Retrieval:
    """CMC and mAP of the rankings by distance, the nearest first; equal distances keep the order of the gallery.

    Pictures of the query's own identity by its own camera are removed from its ranking (they are trivial), where cameras are
    given. A query without a right picture after that is skipped.

    Args:
        distances: of every query to every gallery picture, finite, shape (q, g).
        query_identities: integers, shape (q,).
        gallery_identities: integers, shape (g,).
        query_cameras: integers, shape (q,); None, together with `gallery_cameras`, removes nothing.
        gallery_cameras: integers, shape (g,).
        ranks: each >= 1.

    Raises:
        TypeError: not numbers, or identities or cameras that are no integers.
        ValueError: empty, NaN, shapes that do not fit, cameras of one side only, a rank below 1, or no query that can be
            scored.

    Source:
        Zheng et al., "Scalable person re-identification: a benchmark", ICCV 2015 (single-query protocol).

    Example:
        >>> found = retrieval([[0.1, 0.2, 0.3]], [5], [4, 5, 5], ranks=(1, 2))
        >>> found.cmc, round(found.mean_average_precision, 4)
        ({1: 0.0, 2: 1.0}, 0.5833)
    """
    table = floats(distances, name="distances", ndim=2)
    wanted, owner = (
        integers(query_identities, name="query_identities"),
        integers(gallery_identities, name="gallery_identities"),
    )
    require_same_length(distances=table, query_identities=wanted)
    require_same_length(**{"columns of distances": table.T, "gallery_identities": owner})
    check.integer(**{f"rank_{k}": k for k in ranks}, at_least=1)
    match = wanted[:, None] == owner[None, :]
    junk = match & _same_camera(table.shape, query_cameras, gallery_cameras)
    first_hits, precisions = [], []
    for row in range(len(table)):
        order = np.argsort(table[row], kind="stable")
        hits = match[row, order[~junk[row, order]]]
        if hits.any():
            found = np.flatnonzero(hits)
            first_hits.append(found[0] + 1)
            precisions.append((np.arange(1, len(found) + 1) / (found + 1)).mean())
    if not first_hits:
        raise ValueError(f"none of the {len(table)} queries has a right picture in the gallery (by another camera)")
    return Retrieval(
        cmc={k: float(np.mean(np.array(first_hits) <= k)) for k in ranks},
        mean_average_precision=float(np.mean(precisions)),
        queries=len(first_hits),
        skipped=len(table) - len(first_hits),
    )


def _same_camera(shape: tuple[int, ...], query: ArrayLike | None, gallery: ArrayLike | None) -> Flags:
    if query is None and gallery is None:
        return np.zeros(shape, dtype=bool)
    if query is None or gallery is None:
        raise ValueError("cameras are given of one side only; give query_cameras and gallery_cameras, or neither")
    rows, columns = integers(query, name="query_cameras"), integers(gallery, name="gallery_cameras")
    if (len(rows), len(columns)) != shape:
        raise ValueError(
            f"cameras of {len(rows)} queries and {len(columns)} pictures do not fit distances of shape {shape}"
        )
    return rows[:, None] == columns[None, :]
