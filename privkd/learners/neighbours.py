"""Neighbours by cosine similarity, a piece of the rows at a time, so that no n x n table is ever made; and clusters."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from accountants import check

_CHUNK = 1024  # rows compared with all others at a time


def nearest(
    points: Float[Tensor, "n d"],
    count: int,
    *,
    among: Float[Tensor, "m d"] | None = None,
    exclude_self: bool = True,
    chunk: int = _CHUNK,
) -> tuple[Float[Tensor, "n count"], Int[Tensor, "n count"]]:
    """The nearest points by cosine similarity.

    Args:
        points: of whom the neighbours are wanted, of any length; a point of length 0 is equally far from all.
        count: neighbours per point, >= 1.
        among: candidates; by default the points themselves.
        exclude_self: whether a point is no neighbour of its own; only without `among`.
        chunk: points that are compared at a time, >= 1. The result does not depend on it.

    Returns:
        Similarities in [-1, 1], falling, and rows of the neighbours, int64; on the device of the points.

    Raises:
        ValueError: there are fewer candidates than neighbours, or a point is not finite; the message names its row.

    Example:
        >>> nearest(torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0]]), 1)[1].flatten().tolist()
        [1, 0, 1]
    """
    check.integer(count=count, chunk=chunk, at_least=1)
    leave_out = exclude_self and among is None
    others = points if among is None else among
    if count > len(others) - leave_out:
        raise ValueError(f"count={count} neighbours of {len(others) - leave_out} candidates; ask for fewer")
    _require_finite(points=points, among=others)
    unit, candidates = functional.normalize(points, dim=1), functional.normalize(others, dim=1)
    found = []
    for rows in torch.arange(len(points), device=points.device).split(chunk):
        similarity = unit[rows] @ candidates.T
        if leave_out:
            similarity[torch.arange(len(rows), device=points.device), rows] = -torch.inf
        found.append(similarity.topk(count, dim=1))
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def neighbour_graph(points: Float[Tensor, "n d"], count: int) -> Bool[Tensor, "n n"]:
    """The graph of nearest neighbours: entry (i, j) says that one of i and j is among the `count` nearest of the other.

    Symmetric, without loops. For annotators and classes, of which there are hundreds: it is n x n.
    """
    _, rows = nearest(points, count)
    graph = torch.zeros(len(points), len(points), dtype=torch.bool, device=points.device).scatter_(1, rows, True)
    return graph | graph.T


def clusters(points: Float[Tensor, "n d"], count: int, *, seed: int) -> Int[Tensor, " n"]:
    """The cluster of each point by k-means (Euclidean, the best of ten starts), int64 in [0, count), on the CPU.

    Args:
        points: n of them, n >= `count`.
        count: clusters, >= 1. Fewer come back where fewer points differ.
        seed: of the starts, >= 0.

    Raises:
        ValueError: fewer points than clusters, or a point is not finite.
    """
    from sklearn.cluster import KMeans

    check.integer(count=count, at_least=1)
    check.integer(seed=seed, at_least=0)
    if count > len(points):
        raise ValueError(f"count={count} clusters of {len(points)} points; ask for fewer")
    _require_finite(points=points)
    values = points.detach().cpu().double().numpy()
    return torch.from_numpy(KMeans(count, n_init=cast(Any, 10), random_state=seed).fit_predict(values)).long()


def _require_finite(**named: Tensor) -> None:
    for name, values in named.items():
        wrong = ~torch.isfinite(values).all(dim=1)
        if wrong.any():
            raise ValueError(f"{name}[{int(wrong.int().argmax())}] is not finite")
