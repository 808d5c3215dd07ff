"""Which teacher features are worth copying: a sparse graph of the faces, and an energy that no sweep raises.

Reconstructed: selective knowledge distillation (Ge et al., arXiv 1811.09998) selects by a sparse graph of the faces; its energy and
solver are not known to us, and those below are ours. Disturbances are averaged over the neighbours, not over all rows, so that the
graph counts as much in a large set as in a small one.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import normalize

from accountants import check

_BLOCK = 2048  # rows whose cosines with all others are in memory at a time
_SMALLEST_CLASS = 3


@dataclass(frozen=True, kw_only=True)
class SelectionRule:
    """What a feature has to hold to be copied.

    Attributes:
        threshold: largest cost of a selected row; cosine distances lie in [0, 2].
        neighbours: edges of a row, to its most similar rows of other classes, >= 1.
        similarity: cosine above which two rows of different classes disturb each other, in [-1, 1).
        pair_weight: weight of the mean disturbance against the distance from the class centre, >= 0.
        min_per_class: rows that a class keeps at least, the cheapest, >= 1.
        rounds: most alternations of centres and selection, >= 1.
    """

    threshold: float = 0.4
    neighbours: int = 10
    similarity: float = 0.5
    pair_weight: float = 0.5
    min_per_class: int = 3
    rounds: int = 10

    def __post_init__(self) -> None:
        check.real(threshold=self.threshold, pair_weight=self.pair_weight, at_least=0.0)
        check.real(similarity=self.similarity, at_least=-1.0, below=1.0)
        check.integer(neighbours=self.neighbours, min_per_class=self.min_per_class, rounds=self.rounds, at_least=1)


def robust_selection(features: Tensor, labels: Tensor, rule: SelectionRule = SelectionRule()) -> Tensor:
    """The rows whose features are close to their class and unlike others: True where a row is worth copying.

    The selection lowers E(a) = sum_i a_i (u_i - threshold) + (pair_weight / neighbours) sum_{i-j} a_i a_j w_ij, where u_i is the
    cosine distance of row i from a robust centre of its class (the mean of its third with the highest median similarity to what
    is selected) and w_ij = cosine - similarity > 0 on the edges of the graph. Centres and selection alternate until nothing moves.

    Args:
        features: of the teacher, floating, shape (n, d), finite; rows are normalised.
        labels: int64, shape (n,), >= 0.
        rule: what a row has to hold.

    Returns:
        Boolean, shape (n,), on the CPU; some rows of every class. Classes with fewer than 3 rows are kept whole, which a warning
        says. Where more than half of a class is bad, its centre may follow the bad ones.

    Raises:
        ValueError: shapes that differ, unlabelled rows, fewer than two classes, features that are not finite or zero.

    Example:
        >>> east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
        >>> features = torch.stack([east, east, east, north, north, north, north, east])
        >>> robust_selection(features, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])).tolist()
        [True, True, True, False, True, True, True, False]
    """
    _require_rows(features, labels)
    unit, labels = normalize(features.detach().cpu().double(), dim=1), labels.cpu()
    members = [torch.where(labels == label)[0] for label in labels.unique()]
    graph = _disturbances(unit, labels, rule)
    chosen = np.ones(len(labels), dtype=bool)
    costs = np.zeros(len(labels))
    for _ in range(rule.rounds):
        distances = _distances(unit, members, chosen)
        before = chosen.copy()
        chosen, costs = lowered(distances, graph, chosen, rule)
        if (chosen == before).all():
            break
    return torch.from_numpy(_with_smallest_classes(chosen, costs, members, rule))


def energy(distances: np.ndarray, graph: csr_array, chosen: np.ndarray, rule: SelectionRule) -> float:
    """The energy of a selection.

    Args:
        distances: u, shape (n,).
        graph: w, symmetric, shape (n, n).
        chosen: a, boolean, shape (n,).
        rule: weights and threshold.
    """
    a = chosen.astype(float)
    return float(a @ (distances - rule.threshold) + rule.pair_weight / rule.neighbours * 0.5 * (a @ (graph @ a)))


def lowered(
    distances: np.ndarray, graph: csr_array, chosen: np.ndarray, rule: SelectionRule
) -> tuple[np.ndarray, np.ndarray]:
    """A selection that no change of one row improves, and the costs of all rows in it, by sweeps over the rows.

    Rows move one after another, each of which lowers the energy or, at a cost of exactly the threshold, adds a row, so that it
    ends; moving all at once can go round in circles.

    Args:
        distances: u, shape (n,).
        graph: w, symmetric, non-negative, shape (n, n).
        chosen: where the sweeps begin, boolean, shape (n,).
        rule: weights and threshold.
    """
    chosen = chosen.copy()
    scale = rule.pair_weight / rule.neighbours
    moved = True
    while moved:
        moved = False
        for row in range(len(chosen)):
            edges = slice(graph.indptr[row], graph.indptr[row + 1])
            cost = distances[row] + scale * float(graph.data[edges] @ chosen[graph.indices[edges]])
            wanted = cost <= rule.threshold
            if wanted != chosen[row]:
                chosen[row], moved = wanted, True
    return chosen, distances + scale * (graph @ chosen.astype(float))


def _disturbances(unit: Tensor, labels: Tensor, rule: SelectionRule) -> csr_array:
    """The sparse graph: each row and its most similar rows of other classes, both ways."""
    count = len(labels)
    most = min(rule.neighbours, count - 1)
    rows, columns, weights = [], [], []
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        cosines = (unit[block] @ unit.T).masked_fill_(labels[block, None] == labels[None], -2.0)
        values, places = cosines.topk(most, dim=1)
        near = values > rule.similarity
        rows.append(torch.where(near)[0] + start)
        columns.append(places[near])
        weights.append(values[near] - rule.similarity)
    one_way = csr_array(
        (torch.cat(weights).numpy(), (torch.cat(rows).numpy(), torch.cat(columns).numpy())), shape=(count, count)
    )
    return csr_array(one_way.maximum(one_way.T))


def _distances(unit: Tensor, members: list[Tensor], chosen: np.ndarray) -> np.ndarray:
    """Cosine distance of every row from the robust centre of its class."""
    distances = np.empty(len(unit))
    for rows in members:
        kept = rows[torch.from_numpy(chosen[rows.numpy()])]
        kept = kept if len(kept) >= _SMALLEST_CLASS else rows
        medians = (unit[rows] @ unit[kept].T).median(dim=1).values
        core = rows[medians.topk(min(len(rows), max(_SMALLEST_CLASS, len(rows) // 3))).indices]
        distances[rows.numpy()] = 1.0 - (unit[rows] @ normalize(unit[core].mean(dim=0), dim=0)).numpy()
    return distances


def _with_smallest_classes(
    chosen: np.ndarray, costs: np.ndarray, members: list[Tensor], rule: SelectionRule
) -> np.ndarray:
    """The selection, with the cheapest rows of classes that would keep too few."""
    small = 0
    for rows in (member.numpy() for member in members):
        if len(rows) < _SMALLEST_CLASS:
            chosen[rows], small = True, small + 1
        elif chosen[rows].sum() < rule.min_per_class:
            chosen[rows[np.argsort(costs[rows], kind="stable")[: rule.min_per_class]]] = True
    if small:
        warnings.warn(
            f"{small} of {len(members)} classes have fewer than {_SMALLEST_CLASS} rows, too few for a robust centre; all of their "
            "rows are kept",
            stacklevel=3,
        )
    return chosen


def _require_rows(features: Tensor, labels: Tensor) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise ValueError(
            f"features of shape {tuple(features.shape)} and labels of shape {tuple(labels.shape)} must be (n, d) and (n,), n >= 1"
        )
    if (labels < 0).any():
        raise ValueError(
            "a selection needs the class of every row, but some labels are below 0; take the labelled rows"
        )
    if len(labels.unique()) < 2:
        raise ValueError("all rows are of one class; a selection compares classes, so at least two are needed")
    bad = ~torch.isfinite(features).all(dim=1) | (features.norm(dim=1) == 0)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} features are zero or not finite, the first in row {int(bad.nonzero()[0])}; check the teacher"
        )
