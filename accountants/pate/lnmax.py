"""LNMax, the argmax of votes under Laplace noise: its Rényi cost at the votes at hand.

One vote that moves changes two counts by 1, so Laplace noise of a scale on every count is (2 / scale)-DP. As for GNMax,
the data-dependent bound is about outputs drawn from the data set at hand, and is private.

Source: Papernot et al. 2017, Theorem 3 and Lemma 4, in Rényi form.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from accountants.pate.gnmax import checked_orders, two_term_bound


def lnmax_log_q(counts: FloatArray, scale: float) -> FloatArray:
    """Log of an upper bound on the probability that the noisy argmax is not the class with most votes.

    Args:
        counts: votes, shape (queries, classes >= 2).
        scale: scale of the Laplace noise on every count, in votes, > 0.

    Returns:
        log q, in (-inf, log(1 - 1/classes)], shape (queries,).

    Source: Papernot et al. 2017, Lemma 4: a class that is d scales behind wins with probability (2 + d) / (4 e^d).

    Example:
        >>> lnmax_log_q(np.array([[240.0, 5, 1, 1, 1, 1, 1, 0, 0, 0]]), scale=20.0).round(6)
        array([-8.496084])
    """
    scale = check.as_float(scale=scale, above=0.0)
    ordered = np.sort(counts, axis=1)
    behind = (ordered[:, -1:] - ordered[:, :-1]) / scale
    logs = np.logaddexp.reduce(np.log(2.0 + behind) - math.log(4.0) - behind, axis=1)
    return np.minimum(logs, math.log1p(-1.0 / counts.shape[1]))


def lnmax_renyi(log_q: FloatArray, scale: float, alpha: ArrayLike) -> FloatArray:
    """Rényi cost of answers whose true argmax is missed with probability at most q.

    It grows with q wherever it is used, so any upper bound on the probability may stand for q. With level e = 2 / scale
    it is never above alpha e^2 / 2 nor above e, which hold whatever the votes.

    Args:
        log_q: log of an upper bound on the probability of each answer not being the argmax, < 0, shape (queries,).
        scale: scale of the Laplace noise on every count, in votes, > 0.
        alpha: orders, > 1, shape (orders,).

    Returns:
        Nats, shape (queries, orders).

    Raises:
        ValueError: an order is not above 1, or the scale is not above 0.

    Example:
        >>> float(lnmax_renyi(np.array([-8.49608427676215]), 20.0, [2.0])[0, 0])  # doctest: +ELLIPSIS
        4.29653622...e-05
    """
    scale = check.as_float(scale=scale, above=0.0)
    orders = checked_orders(alpha)[None, :]
    log_q = np.asarray(log_q, dtype=np.float64)[:, None]
    level = 2.0 / scale
    independent = np.minimum(0.5 * orders * level * level, level)
    with np.errstate(over="ignore", invalid="ignore"):
        usable = log_q <= -level - math.log1p(math.exp(-level))  # q <= 1 / (1 + e^level)
        dependent = two_term_bound(log_q, np.where(usable, log_q + level, -1.0), level, orders)
    return np.where(usable, np.fmin(dependent, independent), independent)
