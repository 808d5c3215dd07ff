"""Confident-GNMax: a noisy test whether teachers agree, then a GNMax answer only where they do.

Every query pays for its test; an answered query also pays for its answer. Which queries were answered is public, so the
REALISED cost is charged. What that sum guarantees, at ONE order alpha that is fixed before the first answer: with P and
Q the outputs' laws at the data set at hand and at a neighbour, E_P[(dP/dQ)^(alpha - 1) e^(-(alpha - 1) cost)] <= 1,
where the cost goes with the outputs. This is what the conversion to (epsilon, delta) needs, with an epsilon that goes
with the outputs too. At several orders at once it does not hold.

In the interactive variant the student's public prediction is subtracted first: the test is about
max_j (n_j - teachers * s_j), which one record moves by at most 1 as well.

Source: Papernot et al. 2018, Sections 3.3 and 4.1.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from accountants.pate.gnmax import gnmax_log_q, gnmax_renyi
from accountants.pate.votes import prediction_table


def confidence(counts: FloatArray, *, predictions: ArrayLike | None = None) -> FloatArray:
    """The value that the test compares with the threshold, without noise: max_j n_j, or max_j (n_j - teachers * s_j).

    Args:
        counts: votes, shape (queries, classes), rows summing to the number of teachers.
        predictions: the student's public probabilities s_j, same shape; None for the variant without a student.

    Returns:
        Votes, in [0, teachers], shape (queries,).

    Raises:
        ValueError: the predictions have another shape or are no probabilities.
    """
    if predictions is None:
        return counts.max(axis=1)
    table = prediction_table(predictions, shape=counts.shape)
    return (counts - counts.sum(axis=1, keepdims=True) * table).max(axis=1)


def check_log_q(reached: FloatArray, *, threshold: float, sigma1: float) -> FloatArray:
    """Log probability of the less likely outcome of the test, from `confidence`; private; shape (queries,).

    Example:
        >>> check_log_q(np.array([240.0]), threshold=200.0, sigma1=150.0).round(6)
        array([-0.929217])
    """
    sigma1 = check.as_float(sigma1=sigma1, above=0.0)
    threshold = check.as_float(threshold=threshold)
    return log_ndtr(-np.abs(np.asarray(reached) - threshold) / sigma1)


def realised_costs(
    counts: FloatArray,
    answered: NDArray[np.bool_],
    *,
    threshold: float,
    sigma1: float,
    sigma2: float,
    alpha: ArrayLike,
    predictions: ArrayLike | None = None,
) -> FloatArray:
    """Rényi costs per query: that of the test, and that of the answer where one was given.

    Args:
        counts: PRIVATE votes of every tested query, shape (queries, classes).
        answered: PUBLIC outcome of every test, shape (queries,).
        threshold: of the test, in votes.
        sigma1: standard deviation of the noise of the test, in votes, > 0.
        sigma2: standard deviation of the noise on every count of an answer, in votes, > 0.
        alpha: orders, > 1, shape (orders,); each column is a guarantee by itself (see the module).
        predictions: the student's public probabilities, for the interactive variant.

    Returns:
        Nats, PRIVATE, shape (queries, orders).

    Raises:
        ValueError: an argument is out of range or shapes differ.
    """
    reached = confidence(counts, predictions=predictions)
    # A test has sensitivity 1 where GNMax has sqrt(2); all else in the theorem is the same.
    log_q = check_log_q(reached, threshold=threshold, sigma1=sigma1)
    tests = gnmax_renyi(log_q, math.sqrt(2.0) * sigma1, alpha)
    answers = gnmax_renyi(gnmax_log_q(counts, sigma2), sigma2, alpha)
    return tests + np.where(np.asarray(answered, dtype=bool)[:, None], answers, 0.0)
