"""Bounds that are sums at integer orders, and what they say in between."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np

from accountants.numerics.array_kinds import FloatArray

LARGEST = 256  # integer order; beyond, other bounds are used
_SLACK = 1e-12  # relative, covers the rounding of positive sums


def between_integers(orders: FloatArray, log_moments_at: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Rényi bounds at any orders from log moments at integer ones.

    The log moment is convex in the order and 0 at order 1, so the chord between the two integers around an order bounds it.

    Args:
        orders: > 1, shape (n,).
        log_moments_at: integer orders in [2, LARGEST], shape (m,) -> (order - 1) times the divergence, shape (m,).

    Returns:
        Nats, shape (n,); infinite beyond LARGEST.
    """
    found = np.full_like(orders, np.inf)
    near = orders <= LARGEST
    low, high = np.floor(orders[near]), np.ceil(orders[near])
    whole = np.unique(np.concatenate([low, high]))
    whole = whole[whole >= 2.0]
    if not whole.size:
        return found
    table = np.zeros(LARGEST + 1)
    table[whole.astype(int)] = log_moments_at(whole)
    share, last = orders[near] - low, table[high.astype(int)]
    with np.errstate(invalid="ignore"):
        chord = np.where(share > 0.0, (1.0 - share) * table[low.astype(int)] + share * last, last)
    found[near] = chord / (orders[near] - 1.0)
    return found


def log_binomial_sum(whole: FloatArray, log_terms: FloatArray, *, q: float, rest: float) -> FloatArray:
    """Log of (1 + sum over j of (order choose j) q^j rest^(order - j) e^(log_terms[j])) at integer orders.

    Args:
        whole: integer orders in [2, LARGEST], shape (m,).
        log_terms: shape (LARGEST + 1,); may be infinite.
        q: > 0.
        rest: > 0.

    Returns:
        Shape (m,), rounded up.
    """
    sizes = np.arange(LARGEST + 1.0)
    missing = whole[:, None] - sizes
    log_weights = log_binomials()[whole.astype(int)] + sizes * math.log(q) + missing * math.log(rest)
    with np.errstate(under="ignore", invalid="ignore"):
        logs = np.where(missing >= 0.0, log_weights + log_terms, -np.inf)
        return np.logaddexp(0.0, np.logaddexp.reduce(logs, axis=1)) * (1.0 + _SLACK)


def log_minus_one(exponents: FloatArray) -> FloatArray:
    """Log of (e^x - 1) for x >= 0, without overflow.

    Example:
        >>> log_minus_one(np.array([1e-20, 1.0, 1000.0])).round(4).tolist()
        [-46.0517, 0.5413, 1000.0]
    """
    with np.errstate(divide="ignore", under="ignore"):
        return exponents + np.log(-np.expm1(-exponents))


@cache
def log_binomials() -> FloatArray:
    """Logs of (n choose j), n and j from 0 to LARGEST; minus infinity for j > n."""
    table = np.full((LARGEST + 1, LARGEST + 1), -np.inf)
    for total in range(LARGEST + 1):
        for chosen in range(total // 2 + 1):
            table[total, [chosen, total - chosen]] = math.log(math.comb(total, chosen))
    table.setflags(write=False)
    return table
