"""Federated learning has two questions: does a model know what others know (generalisation), and its own (personalisation)?

Report both. A personal model without a common head has no global model that could be evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.classification import balanced_accuracy
from privkd.metrics.inputs import floats, integers, require_same_length


@dataclass(frozen=True)
class Personalisation:
    """How well clients do on their own held-out data.

    Attributes:
        weighted: mean accuracy over clients, weighted by their test rows.
        mean: unweighted mean.
        worst_tenth: mean of the worst tenth of the clients (rounded up, at least one).
        deviation: standard deviation over clients.
    """

    weighted: float
    mean: float
    worst_tenth: float
    deviation: float


@dataclass(frozen=True)
class Reweighted:
    """A client's accuracy estimated from per-class accuracies on a common test set.

    Attributes:
        inside: with the client's own class frequencies p.
        outside: with (1 - p) / (classes - 1), where the client has seen little.
    """

    inside: float
    outside: float


def generalisation(predicted: Sequence[ArrayLike], labels: ArrayLike) -> float:
    """The mean over clients of the balanced accuracy of their personal models on one common test set.

    Args:
        predicted: of each client, the class of every row, integers, shape (n,).
        labels: classes of the rows, integers, two classes or more, shape (n,).

    Returns:
        In [0, 1]; balanced, so that a test set with uneven classes counts as an even one.

    Raises:
        TypeError: not integers.
        ValueError: no client, empty, lengths that differ, or one class only.

    Example:
        >>> generalisation([[0, 0, 1, 1], [0, 0, 0, 0]], [0, 0, 1, 1])
        0.75
    """
    if not len(predicted):
        raise ValueError("predicted is empty; give the answers of one client or more")
    return float(np.mean([balanced_accuracy(answers, labels) for answers in predicted]))


def personalisation(accuracies: ArrayLike, rows: ArrayLike) -> Personalisation:
    """The summary of the clients' accuracies, each of its own model on its own held-out rows.

    Args:
        accuracies: of each client, in [0, 1], shape (clients,).
        rows: how many test rows each has, integers >= 1, shape (clients,).

    Raises:
        TypeError: not numbers, or rows that are no integers.
        ValueError: empty, NaN, lengths that differ, an accuracy outside [0, 1], or a client without rows.

    Example:
        >>> personalisation([1.0, 0.5], [30, 10])
        Personalisation(weighted=0.875, mean=0.75, worst_tenth=0.5, deviation=0.25)
    """
    values, sizes = _shares(accuracies, name="accuracies"), integers(rows, name="rows")
    require_same_length(accuracies=values, rows=sizes)
    if (sizes < 1).any():
        raise ValueError(f"rows must be >= 1; {int((sizes < 1).sum())} clients have no test rows, leave them out")
    worst = np.sort(values)[: math.ceil(len(values) / 10)]
    return Personalisation(
        weighted=float(values @ sizes / sizes.sum()),
        mean=float(values.mean()),
        worst_tenth=float(worst.mean()),
        deviation=float(values.std()),
    )


def reweighted_accuracy(class_accuracies: ArrayLike, class_counts: ArrayLike) -> Reweighted:
    """In- and out-of-distribution accuracy of a client without test data of its own.

    Args:
        class_accuracies: of the client's model on each class of a common test set, in [0, 1], shape (classes,).
        class_counts: rows of each class that the client has, integers >= 0, not all 0, shape (classes,), two or more.

    Raises:
        TypeError: not numbers, or counts that are no integers.
        ValueError: empty, NaN, lengths that differ, an accuracy outside [0, 1], negative counts or only zeros, or one class.

    Source: Lee et al., "Preservation of the global knowledge by not-true distillation", NeurIPS 2022.

    Example:
        >>> reweighted_accuracy([1.0, 0.0, 0.5], [10, 0, 0])
        Reweighted(inside=1.0, outside=0.25)
    """
    values, counts = _shares(class_accuracies, name="class_accuracies"), integers(class_counts, name="class_counts")
    require_same_length(class_accuracies=values, class_counts=counts)
    if len(values) < 2 or (counts < 0).any() or not counts.any():
        raise ValueError("class_counts must hold two classes or more, counts >= 0 and at least one row")
    share = counts / counts.sum()
    return Reweighted(inside=float(share @ values), outside=float((1 - share) / (len(values) - 1) @ values))


def _shares(value: ArrayLike, *, name: str) -> FloatArray:
    found = floats(value, name=name)
    outside = (found < 0) | (found > 1)
    if outside.any():
        raise ValueError(f"{name} must be in [0, 1], not percent; {int(outside.sum())} of {len(found)} are not")
    return found
