"""Curves over thresholds of one score: ROC, its area, equal error rate, average precision, true accepts at few false ones.

The positive class is 1 (fake, same person, ...), and a row counts as positive if its score is at or above the threshold.
No score is ever flipped: a detector that is worse than chance has an area below 0.5.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.inputs import Flags, both_classes, floats, require_same_length


@dataclass(frozen=True, eq=False)
class RocCurve:
    """The points of a ROC curve, from the threshold that accepts nothing to the one that accepts all.

    Attributes:
        false_positive_rate: share of negatives at or above each threshold, rising from 0 to 1, shape (m + 1,).
        true_positive_rate: the same of positives.
        thresholds: infinity, then the m different scores, falling.
    """

    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    thresholds: FloatArray


def roc_curve(scores: ArrayLike, labels: ArrayLike) -> RocCurve:
    """The ROC curve with a point for every different score, none left out.

    Args:
        scores: higher means more likely positive, finite, shape (n,).
        labels: 1 for positive, 0 for negative, both present, shape (n,).

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, lengths that differ, other labels than 0 and 1, or one class only.
    """
    scores, labels = _scored(scores, labels)
    thresholds, positives, negatives = _counts(scores, labels)
    accepted = np.cumsum(positives[::-1]), np.cumsum(negatives[::-1])
    return RocCurve(
        np.concatenate([[0.0], accepted[1] / accepted[1][-1]]),
        np.concatenate([[0.0], accepted[0] / accepted[0][-1]]),
        np.concatenate([[np.inf], thresholds[::-1]]),
    )


def roc_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """The area under the ROC curve: P(positive score > negative score) + P(equal) / 2, by ranks, ties averaged.

    Args:
        scores: as for `roc_curve`.
        labels: as for `roc_curve`.

    Returns:
        In [0, 1]; 0.5 for scores that say nothing.

    Raises:
        TypeError: as `roc_curve`.
        ValueError: as `roc_curve`.

    Example:
        >>> roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        0.75
    """
    scores, labels = _scored(scores, labels)
    positives = int(labels.sum())
    wins = average_ranks(scores)[labels].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * (len(labels) - positives)))


def equal_error_rate(scores: ArrayLike, labels: ArrayLike, *, interpolate: bool = True) -> float:
    """The error rate at which as many negatives are accepted as positives are rejected (shares of each).

    Args:
        scores: as for `roc_curve`.
        labels: as for `roc_curve`.
        interpolate: True takes the crossing on the line between the two points around it. False takes the false positive
            rate at the point where the two rates differ least, among the corners of the curve only, as the common deepfake
            benchmarks do (their curve leaves out points on straight pieces).

    Returns:
        In [0, 1].

    Raises:
        TypeError: as `roc_curve`.
        ValueError: as `roc_curve`.

    Example:
        >>> equal_error_rate([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
        0.5
    """
    curve = roc_curve(scores, labels)
    accepted, rejected = curve.false_positive_rate, 1 - curve.true_positive_rate
    if not interpolate:
        corner = _is_corner(scores, labels)
        accepted, rejected = accepted[corner], rejected[corner]
        return float(accepted[np.argmin(np.abs(rejected - accepted))])
    gap = rejected - accepted  # falls from 1 to -1
    after = int(np.argmax(gap <= 0))
    part = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(accepted[after - 1] + part * (accepted[after] - accepted[after - 1]))


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """The area under the steps of precision over recall: the sum of (R_i - R_(i-1)) P_i over falling thresholds.

    Args:
        scores: as for `roc_curve`.
        labels: as for `roc_curve`.

    Returns:
        In (0, 1]; of a score that says nothing, the share of positives.

    Raises:
        TypeError: as `roc_curve`.
        ValueError: as `roc_curve`.

    Example:
        >>> round(average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), 4)
        0.8333
    """
    scores, labels = _scored(scores, labels)
    _, positives, negatives = _counts(scores, labels)
    hits = np.cumsum(positives[::-1])
    precision = hits / (hits + np.cumsum(negatives[::-1]))
    return float((np.diff(hits, prepend=0) / hits[-1] * precision).sum())


def tar_at_far(scores: ArrayLike, labels: ArrayLike, *, far: float) -> float:
    """The largest share of positives accepted at a threshold that accepts at most `far` of the negatives.

    Args:
        scores: as for `roc_curve`.
        labels: as for `roc_curve`.
        far: false accept rate, in (0, 1).

    Returns:
        In [0, 1]; NaN, with a warning, if there are fewer than 10 / `far` negatives: the rate would rest on a handful.

    Raises:
        TypeError: as `roc_curve`.
        ValueError: as `roc_curve`, or a rate outside (0, 1).

    Example:
        >>> tar_at_far([0.9, 0.2, 0.8] + [0.1] * 20, [1, 1, 0] + [0] * 20, far=0.5)
        1.0
    """
    check.real(far=far, above=0.0, below=1.0)
    curve = roc_curve(scores, labels)
    if not has_enough(int((~both_classes(labels, name="labels")).sum()), far=far, what="negatives"):
        return math.nan
    return float(curve.true_positive_rate[curve.false_positive_rate <= far].max())


def average_ranks(values: FloatArray) -> FloatArray:
    """The rank of every value from 1; equal values share the mean of their ranks.

    Example:
        >>> average_ranks(np.array([0.5, 0.1, 0.5])).tolist()
        [2.5, 1.0, 2.5]
    """
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[where]


def has_enough(negatives: int, *, far: float, what: str) -> bool:
    """Whether a rate of false accepts can be told from so many negatives: at least 10 / far; if not, a warning says so."""
    needed = math.ceil(10 / far - 1e-9)  # 10 / 1e-3 is not exactly 10000 for every rate
    if negatives < needed:
        warnings.warn(
            f"far={far:g} needs at least {needed} {what}, here are {negatives}: the rate is NaN", stacklevel=3
        )
    return negatives >= needed


def _scored(scores: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, Flags]:
    values, positive = floats(scores, name="scores"), both_classes(labels, name="labels")
    require_same_length(scores=values, labels=positive)
    return values, positive


def _counts(scores: FloatArray, labels: Flags) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The different scores, rising, and how many positives and negatives have each."""
    different, where = np.unique(scores, return_inverse=True)
    counts = [np.bincount(where, weights=kind.astype(np.float64)).astype(np.float64) for kind in (labels, ~labels)]
    return different, counts[0], counts[1]


def _is_corner(scores: ArrayLike, labels: ArrayLike) -> Flags:
    """Which points of the curve are kept by implementations that drop the middle of straight pieces; all ends are."""
    _, positives, negatives = _counts(*_scored(scores, labels))
    if len(positives) < 3:
        return np.ones(len(positives) + 1, dtype=bool)
    bends = (np.diff(positives[::-1])[1:] != 0) | (np.diff(negatives[::-1])[1:] != 0)
    return np.concatenate([[True, True], bends, [True]])
