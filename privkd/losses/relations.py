"""Distillation of relations between the rows of a batch: pair distances, angles of triplets, and similarities.

Pair distances and angles do not change when all embeddings of the student are rotated: alone they fix no coordinates, and
a student that learns from them alone cannot be compared with its teacher's embeddings. Add `feature_distance` for that.
Distances are divided by their mean over the batch: with several processes, gather the batch first.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.losses.distillation import kl
from privkd.losses.rows import SHORTEST, full_precision, require_rows, unit


@full_precision
def relation2(student: Tensor, teacher: Tensor) -> Float[Tensor, ""]:
    """The smooth L1 difference of pair distances, each divided by its mean over the batch: relations of order 2.

    Scale and rotation of either side do not matter. Rows that all coincide have distances 0, with zero gradients.

    Args:
        student: embeddings, shape (n, d), n >= 2.
        teacher: embeddings of the same rows, shape (n, D); detached.

    Returns:
        Mean over the pairs i != j, a scalar >= 0.

    Raises:
        ValueError: numbers of rows differ, or fewer than two.

    Source: RKD-D, Park et al., arXiv 1904.05068 (distance-wise loss).

    Example:
        >>> rows = torch.tensor([[0.0], [1.0], [3.0]])
        >>> float(relation2(rows, 5 * rows)), round(float(relation2(rows, rows**2)), 4)
        (0.0, 0.037)
    """
    _require_pair(2, student, teacher)
    with torch.no_grad():
        target = _relative_distances(teacher)
    return functional.smooth_l1_loss(_relative_distances(student), target)


@full_precision
def relation3(
    student: Tensor, teacher: Tensor, *, rows: int = 32, generator: torch.Generator | None = None
) -> Float[Tensor, ""]:
    """The smooth L1 difference of the cosines of angles that triplets of rows span: relations of order 3.

    Scale and rotation of either side do not matter. An angle at a repeated row is 90 degrees, with zero gradient.

    Args:
        student: embeddings, shape (n, d), n >= 3.
        teacher: embeddings of the same rows, shape (n, D); detached.
        rows: at most this many rows are compared, >= 3: work grows with the cube.
        generator: on the CPU, draws these rows; None takes the first ones, which in a shuffled batch are as good.

    Returns:
        Mean over all triplets of distinct rows, a scalar >= 0.

    Raises:
        ValueError: numbers of rows differ, or fewer than three.

    Source: RKD-A, Park et al., arXiv 1904.05068 (angle-wise loss).

    Example:
        >>> rows = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> square = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
        >>> [round(float(relation3(rows, other)), 4) for other in (5 * rows, square)]
        [0.0, 0.1667]
    """
    check.integer(rows=rows, at_least=3)
    _require_pair(3, student, teacher)
    if len(student) > rows:
        drawn = torch.arange(rows) if generator is None else torch.randperm(len(student), generator=generator)[:rows]
        drawn = drawn.to(student.device)
        student, teacher = student[drawn], teacher[drawn]
    with torch.no_grad():
        target = _angles(teacher)
    position = torch.arange(len(student), device=student.device)
    i, j, k = position[:, None, None], position[:, None], position
    distinct = (i != j) & (j != k) & (i != k)
    return functional.smooth_l1_loss(_angles(student)[distinct], target[distinct])


@full_precision
def relation_softmax(student: Tensor, teacher: Tensor, *, tau: float = 0.1) -> Float[Tensor, ""]:
    """The divergence of the similarities of each row to the others: a softmax over their cosines, averaged over rows.

    Args:
        student: embeddings, shape (n, d), n >= 3: to a single other row every similarity is the same.
        teacher: embeddings of the same rows, shape (n, D); detached.
        tau: temperature of the cosines, > 0.

    Returns:
        Mean over rows of KL(teacher || student), a scalar >= 0 in nats.

    Raises:
        ValueError: numbers of rows differ, or fewer than three.

    Source: similarity distributions as in SEED, Fang et al., arXiv 2101.04731, and in similarity transfer, Passalis and
        Tefas, arXiv 1803.10837; here over the other rows of the batch.

    Example:
        >>> rows = torch.eye(3)
        >>> float(relation_softmax(rows, 5 * rows)), round(float(relation_softmax(rows, rows.cumsum(0), tau=1.0)), 4)
        (0.0, 0.0036)
    """
    check.real(tau=tau, above=0.0)
    _require_pair(3, student, teacher)
    others = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    return kl(_cosines(student) / tau, _cosines(teacher) / tau, mask=others)


def _require_pair(at_least: int, student: Tensor, teacher: Tensor) -> None:
    require_rows(at_least, student=student, teacher=teacher)
    if len(student) != len(teacher):
        raise ValueError(
            f"student has {len(student)} rows and teacher {len(teacher)}; give embeddings of the same rows"
        )


def _relative_distances(rows: Tensor) -> Tensor:
    """Distances of all pairs i != j over their mean, shape (n (n - 1),)."""
    # Computed from differences: by products, two equal rows would be some 1e-3 apart. Its gradient at 0 is 0.
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    away = ~torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    pairs = distances[away]
    return pairs / pairs.mean().clamp(min=SHORTEST)


def _angles(rows: Tensor) -> Tensor:
    """Cosine of the angle at row j between rows i and k, shape (n, n, n), in the order i, j, k."""
    towards = unit(rows[:, None] - rows)  # [i, j] points from j to i
    return torch.einsum("ijd,kjd->ijk", towards, towards)


def _cosines(rows: Tensor) -> Tensor:
    directions = unit(rows)
    return directions @ directions.T
