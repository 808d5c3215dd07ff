"""Distributions over ordered bins (histograms of ratings): distances that know the order, and correlations of their means.

p and q are rows that sum to 1; P and Q are their cumulative sums. A distance of several rows is the mean over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.inputs import floats, require_same_length, require_same_shape
from privkd.metrics.roc import average_ranks

_SUM_TOLERANCE = 1e-4  # of a row: softmax in single precision over many bins


@dataclass(frozen=True)
class DistributionScores:
    """How near predicted histograms of ratings are to true ones.

    Attributes:
        emd_1: earth mover's distance of order 1 over the bins, in [0, 1].
        emd_2: the same of order 2.
        cjs: cumulative Jensen-Shannon divergence, nats.
        chi_squared: half the sum of (p - q)^2 / (p + q), in [0, 1].
        plcc: Pearson's correlation of the means.
        srcc: Spearman's correlation of the means.
        binary_accuracy: share of rows whose means lie on the same side of the cut.
    """

    emd_1: float
    emd_2: float
    cjs: float
    chi_squared: float
    plcc: float
    srcc: float
    binary_accuracy: float


def score_distributions(predicted: ArrayLike, target: ArrayLike, *, cut: float) -> DistributionScores:
    """All measures of predicted histograms; the bins are worth 1, 2, ..., Z.

    Args:
        predicted: rows >= 0 of sum 1, shape (n, Z), n >= 2.
        target: the same, true.
        cut: a mean above it counts as high; 5 for ten bins is the habit of AVA.

    Raises:
        TypeError: not numbers.
        ValueError: as the single measures.
    """
    means, wanted = mean_ratings(predicted), mean_ratings(target)
    return DistributionScores(
        emd_1=emd(predicted, target, order=1),
        emd_2=emd(predicted, target, order=2),
        cjs=cumulative_js(predicted, target),
        chi_squared=chi_squared(predicted, target),
        plcc=plcc(means, wanted),
        srcc=srcc(means, wanted),
        binary_accuracy=cut_accuracy(means, wanted, cut=cut),
    )


def emd(predicted: ArrayLike, target: ArrayLike, *, order: int = 1) -> float:
    """The earth mover's distance of the given order: mean over rows of ((1 / Z) sum |P - Q|^order)^(1 / order).

    Args:
        predicted: rows >= 0 of sum 1, shape (n, Z), Z >= 2.
        target: the same, true.
        order: 1 or 2.

    Returns:
        In [0, 1 - 1/Z] for order 1: how far the mass must move, in scale lengths.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, shapes that differ, negative values, a row whose sum is not 1, or another order.

    Source: Talebi, Milanfar, "NIMA", TIP 2018, equation 1.

    Example:
        >>> emd([[1, 0, 0, 0]], [[0, 0, 0, 1]])
        0.75
    """
    if order not in (1, 2):
        raise ValueError(f"order={order!r} must be 1 or 2")
    above, below = _cumulative(predicted, target)
    return float(((np.abs(above - below) ** order).mean(axis=1) ** (1 / order)).mean())


def cumulative_js(predicted: ArrayLike, target: ArrayLike) -> float:
    """The cumulative Jensen-Shannon divergence: mean over rows of half the sum of P ln(P / M) + Q ln(Q / M), M = (P + Q) / 2.

    Args:
        predicted: rows >= 0 of sum 1, shape (n, Z), Z >= 2.
        target: the same, true.

    Returns:
        Nats, >= 0, symmetric; 0 only for equal rows.

    Raises:
        TypeError: as `emd`.
        ValueError: as `emd`.

    Source: Jin et al., "Predicting aesthetic score distribution through cumulative Jensen-Shannon divergence", AAAI 2018.

    Example:
        >>> round(cumulative_js([[1, 0]], [[0, 1]]), 4)  # half of ln 2
        0.3466
    """
    above, below = _cumulative(predicted, target)
    middle = (above + below) / 2
    return float(0.5 * (rel_entr(above, middle) + rel_entr(below, middle)).sum(axis=1).mean())


def chi_squared(predicted: ArrayLike, target: ArrayLike) -> float:
    """The chi-squared distance: mean over rows of half the sum of (p - q)^2 / (p + q), bins empty in both left out.

    Args:
        predicted: rows >= 0 of sum 1, shape (n, Z), Z >= 2.
        target: the same, true.

    Returns:
        In [0, 1]; it knows no order of the bins.

    Raises:
        TypeError: as `emd`.
        ValueError: as `emd`.

    Example:
        >>> chi_squared([[1, 0]], [[0, 1]])
        1.0
    """
    p, q = _rows(predicted, name="predicted"), _rows(target, name="target")
    require_same_shape(predicted=p, target=q)
    total = p + q
    return float((0.5 * ((p - q) ** 2 / np.where(total == 0, 1.0, total)).sum(axis=1)).mean())


def mean_ratings(distributions: ArrayLike) -> FloatArray:
    """The mean of each histogram whose bins are worth 1, 2, ..., Z; shape (n,).

    Raises:
        TypeError: as `emd`.
        ValueError: as `emd`.

    Example:
        >>> mean_ratings([[0.5, 0.5, 0.0]]).tolist()
        [1.5]
    """
    rows = _rows(distributions, name="distributions")
    return rows @ np.arange(1, rows.shape[1] + 1)


def plcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Pearson's linear correlation of two lists of numbers, in [-1, 1].

    Args:
        predicted: finite, not all equal, shape (n,), n >= 2.
        target: the same.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, lengths that differ, or values that are all equal: nothing varies together with them.

    Example:
        >>> round(plcc([1, 2, 3], [2, 4, 7]), 4)
        0.9934
    """
    one, two = floats(predicted, name="predicted"), floats(target, name="target")
    require_same_length(predicted=one, target=two)
    for name, values in (("predicted", one), ("target", two)):
        if np.ptp(values) <= 1e-12 * np.abs(values).max():
            raise ValueError(f"{name} holds {len(values)} equal values; a correlation needs values that vary")
    one, two = one - one.mean(), two - two.mean()
    return float(np.clip((one @ two) / (np.linalg.norm(one) * np.linalg.norm(two)), -1.0, 1.0))


def srcc(predicted: ArrayLike, target: ArrayLike) -> float:
    """Spearman's rank correlation of two lists of numbers, in [-1, 1]; equal values share the mean of their ranks.

    Args:
        predicted: as for `plcc`.
        target: as for `plcc`.

    Raises:
        TypeError: as `plcc`.
        ValueError: as `plcc`.

    Example:
        >>> round(srcc([1, 2, 3], [2, 4, 400]), 9)
        1.0
    """
    one, two = floats(predicted, name="predicted"), floats(target, name="target")
    return plcc(average_ranks(one), average_ranks(two))


def cut_accuracy(predicted: ArrayLike, target: ArrayLike, *, cut: float) -> float:
    """The share of rows on the same side of the cut (above it, or not) in the prediction and in truth.

    Args:
        predicted: mean ratings, finite, shape (n,).
        target: the same, true, on both sides of the cut.
        cut: finite.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, lengths that differ, or true ratings on one side only.

    Example:
        >>> cut_accuracy([4.0, 6.0, 5.5], [3.0, 7.0, 4.5], cut=5)
        0.6666666666666666
    """
    check.real(cut=cut)
    one, two = floats(predicted, name="predicted"), floats(target, name="target")
    require_same_length(predicted=one, target=two)
    high = two > cut
    if high.all() or not high.any():
        raise ValueError(
            f"target lies on one side of cut={cut:g} only; then every constant answer is perfect, move the cut"
        )
    return float(((one > cut) == high).mean())


def _cumulative(predicted: ArrayLike, target: ArrayLike) -> tuple[FloatArray, FloatArray]:
    p, q = _rows(predicted, name="predicted"), _rows(target, name="target")
    require_same_shape(predicted=p, target=q)
    above, below = p.cumsum(axis=1), q.cumsum(axis=1)
    above[:, -1] = below[:, -1] = 1.0  # both sum to 1; rounding shall not count
    return above, below


def _rows(distributions: ArrayLike, *, name: str) -> FloatArray:
    rows = floats(distributions, name=name, ndim=2)
    if rows.shape[1] < 2:
        raise ValueError(f"{name} has {rows.shape[1]} bin; ordered bins are two or more")
    wrong = (rows < 0).any(axis=1) | (np.abs(rows.sum(axis=1) - 1) > _SUM_TOLERANCE)
    if wrong.any():
        raise ValueError(
            f"{name} must have rows >= 0 of sum 1; {int(wrong.sum())} of {len(rows)} are not, first row {int(np.argmax(wrong))}. "
            "Divide counts by their sum"
        )
    return rows
