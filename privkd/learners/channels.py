"""Label channels: how likely each given label is for each true class.

A channel T has a row per true class and a column per given label, T[k, l] = P(given l | true k), and rows that sum to 1. All are
float64 numpy arrays. They are what is *known* about noise that has happened or is simulated. None of them protects anybody:
labels that must be private are drawn by `privkd.mechanisms.KaryResponse` and `SelectiveResponse`, which charge a ledger;
`response_channel` and `selective_response_channel` are the matrices of those draws, for whoever learns from them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accountants import check

ROW_SUM = 1e-6
"""How far the sum of a row may be from 1."""

_CIFAR10_CONFUSIONS = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}  # truck, bird, cat, dog, deer


def symmetric_channel(classes: int, rate: float, *, include_true: bool = False) -> NDArray[np.float64]:
    """The channel that changes a label with probability `rate` into a uniform other class.

    Args:
        classes: number of classes K, >= 2.
        rate: in [0, 1].
        include_true: draw the new label from all K classes, the true one included, so that rate (K - 1)/K of the labels are wrong;
            the protocol of DivideMix and Sel-CL.

    Returns:
        Shape (K, K).

    Example:
        >>> symmetric_channel(3, 0.4).round(3).tolist()
        [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]]
    """
    check.integer(classes=classes, at_least=2)
    check.real(rate=rate, at_least=0.0, at_most=1.0)
    other = rate / classes if include_true else rate / (classes - 1)
    channel = np.full((classes, classes), other)
    np.fill_diagonal(channel, 1.0 - (classes - 1) * other)
    return channel


def pair_channel(classes: int, rate: float) -> NDArray[np.float64]:
    """The channel, shape (K, K), that changes a label with probability `rate`, in [0, 1], into the next class; the last into 0.

    Example:
        >>> pair_channel(3, 0.25).tolist()
        [[0.75, 0.25, 0.0], [0.0, 0.75, 0.25], [0.25, 0.0, 0.75]]
    """
    check.integer(classes=classes, at_least=2)
    check.real(rate=rate, at_least=0.0, at_most=1.0)
    return (1.0 - rate) * np.eye(classes) + rate * np.roll(np.eye(classes), 1, axis=1)


def cifar10_channel(rate: float) -> NDArray[np.float64]:
    """The asymmetric channel of CIFAR-10, shape (10, 10): similar things are confused with probability `rate`, in [0, 1].

    Truck becomes automobile, bird becomes airplane, deer becomes horse, and cat and dog become each other. Source: Patrini et al.,
    CVPR 2017, section 5.
    """
    check.real(rate=rate, at_least=0.0, at_most=1.0)
    channel = np.eye(10)
    for true, given in _CIFAR10_CONFUSIONS.items():
        channel[true, true], channel[true, given] = 1.0 - rate, rate
    return channel


def response_channel(classes: int, eps0: float) -> NDArray[np.float64]:
    """The channel, shape (K, K), of labels that `privkd.mechanisms.KaryResponse(eps0, classes)` has drawn. It draws nothing itself.

    Args:
        classes: number of classes K, >= 2.
        eps0: log-odds of keeping the label, nats, > 0.

    Example:
        >>> response_channel(10, 1.0)[0, :2].round(4).tolist()
        [0.232, 0.0853]
    """
    check.integer(classes=classes, at_least=2)
    check.real(eps0=eps0, above=0.0)
    keep, change = _response(classes, eps0)
    return change + (keep - change) * np.eye(classes)


def inverse_response_channel(classes: int, eps0: float) -> NDArray[np.float64]:
    """The exact inverse of `response_channel`, shape (K, K); its rows sum to 1, its entries lie outside [0, 1].

    With p to keep and q for each other label, T = (p - q) I + q J, whose inverse is (I - q J)/(p - q); J is all ones.
    """
    check.integer(classes=classes, at_least=2)
    check.real(eps0=eps0, above=0.0)
    keep, change = _response(classes, eps0)
    return (np.eye(classes) - change) / (-keep * math.expm1(-eps0))  # p - q without cancellation for a small eps0


def selective_response_channel(candidates: ArrayLike, classes: int, eps0: float) -> NDArray[np.float64]:
    """The channels of labels that `privkd.mechanisms.SelectiveResponse(eps0)` has drawn from sets. It draws nothing itself.

    Args:
        candidates: the sets, chosen without a look at the private label: whole numbers in [0, K), shape (n, k), without repeats in
            a row, k >= 1.
        classes: number of classes K, >= 2.
        eps0: log-odds of keeping a label that lies in its set, nats, > 0.

    Returns:
        Shape (n, K, K): one channel per row. A class outside the set gives a uniform label of the set.

    Raises:
        ValueError: a set repeats a class or holds what is no class; the message names the row.
    """
    check.integer(classes=classes, at_least=2)
    check.real(eps0=eps0, above=0.0)
    sets = _candidate_sets(candidates, classes)
    rows, size = sets.shape
    inside = np.zeros((rows, classes), dtype=bool)
    np.put_along_axis(inside, sets, True, axis=1)
    keep, change = _response(size, eps0)
    answering = np.where(np.eye(classes, dtype=bool), keep, change)  # true classes inside the set
    return np.where(inside[:, :, None], answering, 1.0 / size) * inside[:, None, :]


def multilabel_channel(labels: int, rho_minus: float, rho_plus: float) -> NDArray[np.float64]:
    """The channels of labels that are each on or off, shape (q, 2, 2), and independent of each other.

    Args:
        labels: number of labels q, >= 1.
        rho_minus: probability that 0 becomes 1, in [0, 1].
        rho_plus: probability that 1 becomes 0, in [0, 1].

    Example:
        >>> multilabel_channel(1, 0.1, 0.3).tolist()
        [[[0.9, 0.1], [0.3, 0.7]]]
    """
    check.integer(labels=labels, at_least=1)
    check.real(rho_minus=rho_minus, rho_plus=rho_plus, at_least=0.0, at_most=1.0)
    return np.tile([[1.0 - rho_minus, rho_minus], [rho_plus, 1.0 - rho_plus]], (labels, 1, 1))


def as_channel(value: object, *, role: str = "channel") -> NDArray[np.float64]:
    """A given channel, or channels, as float64 of shape (..., K, K), checked.

    Args:
        value: array, tensor or nested list of probabilities.
        role: what to call it in an error.

    Raises:
        ValueError: no square matrices of at least two classes, an entry that is negative or not finite, or a row that does not
            sum to 1 within 1e-6; the message names the place of the first one.
    """
    channel = np.array(value, dtype=np.float64)
    if channel.ndim < 2 or channel.shape[-1] != channel.shape[-2] or channel.shape[-1] < 2 or not channel.size:
        raise ValueError(
            f"{role}.shape={channel.shape} must end in (K, K) with K >= 2: a row per true class, a column per given label"
        )
    wrong = ~np.isfinite(channel) | (channel < 0.0)
    if wrong.any():
        place = _first(wrong)
        raise ValueError(f"{role}[{place}]={channel[wrong][0]:g} is no probability; entries are finite and >= 0")
    sums = channel.sum(axis=-1)
    off = abs(sums - 1.0) > ROW_SUM
    if off.any():
        raise ValueError(
            f"{role}[{_first(off)}] sums to {sums[off][0]:.6g}; every row must sum to 1. Rows are true classes: a matrix with true "
            "classes in its columns must be transposed"
        )
    return channel


def _first(where: NDArray[np.bool_]) -> str:
    return ", ".join(str(int(place)) for place in np.argwhere(where)[0])


def _response(classes: int, eps0: float) -> tuple[float, float]:
    """Probabilities of keeping a label and of each other one; no overflow for a large eps0."""
    odds = math.exp(-eps0)
    return 1.0 / (1.0 + (classes - 1) * odds), odds / (1.0 + (classes - 1) * odds)


def _candidate_sets(candidates: ArrayLike, classes: int) -> NDArray[np.int64]:
    sets = np.asarray(candidates)
    if sets.ndim != 2 or sets.dtype.kind not in "iu" or not 1 <= sets.shape[1] <= classes:
        raise ValueError(
            f"candidates ({sets.dtype}, shape {sets.shape}) must be whole numbers of shape (n, k) with 1 <= k <= {classes}"
        )
    ordered = np.sort(sets.astype(np.int64), axis=1)
    wrong = (
        (ordered < 0).any(axis=1) | (ordered >= classes).any(axis=1) | (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    )
    if wrong.any():
        raise ValueError(
            f"candidates[{int(wrong.argmax())}] repeats a class or leaves 0..{classes - 1}; a set holds different classes"
        )
    return sets.astype(np.int64)
