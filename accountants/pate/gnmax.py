"""GNMax, the argmax of votes under Gaussian noise: its Rényi cost at the votes at hand.

Everything here is a function of private votes: hide it in a `PrivateCost` or release it, but do not print it.

The bound is about outputs drawn from the data set at hand: D_alpha(M(D) || M(D')) for every neighbour D'. The divergence
in the other direction belongs to the data set D' and is bounded by the cost at D'. It is about the argmax alone: a released
noisy histogram costs alpha / sigma^2 whatever the votes.

Source: Papernot et al. 2018, Theorem 6 and Proposition 10.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr

from accountants import check
from accountants.numerics.array_kinds import FloatArray

_SLACK = 1e-10  # relative, covers the rounding of log q and of the curve
_SUBTRACTION = 1e-13  # relative to the terms that partly cancel
_SMALLEST = 1e-300  # nothing that costs anything costs less, the exponential may have underflowed


def gnmax_log_q(counts: FloatArray, sigma: float) -> FloatArray:
    """Log of an upper bound on the probability that the noisy argmax is not the class with most votes.

    Args:
        counts: votes, shape (queries, classes >= 2).
        sigma: standard deviation of the noise on every count, in votes, > 0.

    Returns:
        log q, in (-inf, log(1 - 1/classes)], shape (queries,).

    Source: Papernot et al. 2018, Proposition 7 (union bound over the other classes).

    Example:
        >>> gnmax_log_q(np.array([[240.0, 5, 1, 1, 1, 1, 1, 0, 0, 0]]), sigma=40.0).round(6)
        array([-9.122344])
    """
    sigma = check.as_float(sigma=sigma, above=0.0)
    ordered = np.sort(counts, axis=1)
    return gaps_log_q(ordered[:, -1:] - ordered[:, :-1], sigma)


def gaps_log_q(gaps: FloatArray, sigma: float) -> FloatArray:
    """`gnmax_log_q` from the votes by which the first class leads each other one, shape (queries, classes - 1)."""
    logs = np.logaddexp.reduce(log_ndtr(-gaps / (math.sqrt(2.0) * sigma)), axis=1)
    return np.minimum(logs, math.log1p(-1.0 / (gaps.shape[1] + 1)))


def gnmax_renyi(log_q: FloatArray, sigma: float, alpha: ArrayLike) -> FloatArray:
    """Rényi cost of answers whose true argmax is missed with probability at most q; never above alpha / sigma^2.

    Any upper bound on the probability may stand for q. Where the conditions of the theorem fail, the data-independent
    cost alpha / sigma^2 is given.

    Args:
        log_q: log of an upper bound on the probability of each answer not being the argmax, < 0, shape (queries,).
        sigma: standard deviation of the noise on every count, in votes, > 0.
        alpha: orders, > 1, shape (orders,).

    Returns:
        Nats, shape (queries, orders).

    Raises:
        ValueError: an order is not above 1, or sigma is not above 0.

    Source: Papernot et al. 2018, Theorem 6 at the orders of Proposition 10.

    Example:
        >>> float(gnmax_renyi(np.array([-9.12234420016677]), 40.0, [2.0])[0, 0])  # doctest: +ELLIPSIS
        3.5601764...e-05
    """
    sigma = check.as_float(sigma=sigma, above=0.0)
    orders = checked_orders(alpha)[None, :]
    log_q = np.asarray(log_q, dtype=np.float64)[:, None]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        independent = np.broadcast_to(orders / sigma / sigma, (len(log_q), orders.shape[1]))
        # Both orders grow with the confidence; sigma sqrt(-log q) balances the two terms of the bound.
        order2 = sigma * np.sqrt(-log_q)
        order1 = order2 + 1.0
        cost1, cost2 = order1 / sigma / sigma, order2 / sigma / sigma
        # order2 > 1 also makes q e^cost2 < 1. The last condition makes the bound grow with q, so that an upper bound on q
        # gives an upper bound on the cost.
        limit = (order2 - 1.0) * cost2 - order2 * (np.log1p(1.0 / order2) - np.log1p(-1.0 / order2))
        usable = (order1 > orders) & (order2 > 1.0) & (log_q <= limit)
        log_other = (log_q + cost2) * (1.0 - 1.0 / order2)  # what a neighbour may give to the other classes
        dependent = two_term_bound(log_q, log_other, cost1 - log_q / order2, orders)
    return np.where(usable, np.fmin(dependent, independent), independent)


def two_term_bound(
    log_q: FloatArray, log_other: FloatArray, growth: FloatArray | float, orders: FloatArray
) -> FloatArray:
    """Rényi divergence, rounded up, where the argmax is kept with 1 - q here and 1 - q' at a neighbour.

    That is log((1 - q)^alpha (1 - q')^(1 - alpha) + q e^((alpha - 1) growth)) / (alpha - 1): the first term is exact for
    the argmax, the second bounds all other answers together.

    Args:
        log_q: log of the probability of another answer than the argmax, at the votes at hand.
        log_other: log q', the largest such probability at a neighbour.
        growth: nats.
        orders: alpha, > 1; all four are broadcast to shape (queries, orders).
    """
    kept, kept_there = _log_one_minus_exp(log_q), _log_one_minus_exp(log_other)
    first = orders * kept - (orders - 1.0) * kept_there
    total = np.logaddexp(first, log_q + (orders - 1.0) * growth)
    slack = _SLACK * np.abs(total) + _SUBTRACTION * (orders * np.abs(kept) + (orders - 1.0) * np.abs(kept_there))
    return np.maximum((total + slack) / (orders - 1.0), _SMALLEST)


def total_over_rows(costs: FloatArray) -> FloatArray:
    """Sum of the costs of all queries at each order, correctly rounded: shape (queries, orders) -> (orders,)."""
    return np.array([math.fsum(column) for column in costs.T])


def _log_one_minus_exp(values: FloatArray) -> FloatArray:
    """log(1 - e^values) for negative values, without cancellation at either end."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(values > -math.log(2.0), np.log(-np.expm1(values)), np.log1p(-np.exp(values)))


def checked_orders(alpha: ArrayLike) -> FloatArray:
    """Orders as a float64 vector.

    Raises:
        ValueError: an order is not a finite number above 1.
    """
    orders = np.atleast_1d(np.asarray(alpha, dtype=np.float64))
    if orders.ndim != 1 or not (np.isfinite(orders) & (orders > 1.0)).all():
        raise ValueError(f"{check.given('alpha', alpha)} must be finite orders > 1, a number or a vector")
    return orders
