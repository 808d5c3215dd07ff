"""Rényi moments of a Poisson-sampled Gaussian whose record is replaced: the antipodal pair."""

import math

import numpy as np

from accountants.methods.renyi.mixture import log_mixture
from accountants.numerics.array_kinds import FloatArray

_REACH = 9.0  # standard deviations kept beyond the furthest peak; the rest weighs less than 3e-19 of it
_MAX_POINTS = 2**13
_SMALLEST_SIGMA = 1e-3  # below it nothing is private, and squares may underflow
_SLACK = 1e-12  # relative, covers rounding of the positive sums


def log_moments_replaced(q: float, sigma: float, orders: FloatArray) -> FloatArray:
    """Upper bounds on log of the integral of A^alpha B^(1 - alpha), for the worst pair under replace-one.

    A = (1-q) N(0, sigma^2) + q N(1, sigma^2), B = (1-q) N(0, sigma^2) + q N(-1, sigma^2), see `PoissonSampled`. They are
    alpha - 1 times the Rényi divergence, the same in both directions. Both halves of the line together add only positive
    terms; the even integrand is summed by the trapezoid rule, and the difference to the sum with twice the step is added.
    Where the sum would need too many points, a bound without integral is used.

    Args:
        q: sampling probability, in (0, 1).
        sigma: noise multiplier relative to the clipping norm per example, > 0.
        orders: alpha, > 1, shape (n,).

    Returns:
        Nats, >= 0, shape (n,).

    Example:
        >>> (log_moments_replaced(0.05, 1.0, np.array([4.0])) / 3.0).round(8)
        array([0.02393346])
    """
    found = _without_integral(q, sigma, orders)
    if sigma < _SMALLEST_SIGMA:
        return found
    for index, order in enumerate(orders.tolist()):
        # The integrand is analytic for |Im x| < pi sigma^2. At the height t sigma^2, t <= 1, it has grown by at most
        # e^(t^2 (sigma^2 + q (alpha-1)) / 2): the first from the Gaussian, the second from B^(1-alpha), where the share
        # of the second component is at most q. Twice this step leaves an error below e^-40 at the best such height.
        width = sigma * sigma + q * (order - 1.0)
        step = 0.5 * sigma * sigma * min(0.6 / math.sqrt(width), 0.12)
        points = (2.0 * order - 1.0 + _REACH * sigma) / step if step > 0.0 else math.inf
        if points < _MAX_POINTS:
            found[index] = min(
                found[index], _trapezoid(q, sigma, order, step * np.arange(2.0 * math.ceil(points / 2) + 1.0))
            )
    return found


def _trapezoid(q: float, sigma: float, order: float, points: FloatArray) -> float:
    """log1p of twice the sum over the right half line; the point 0 adds nothing."""
    variance, step = sigma * sigma, float(points[1])
    forward, backward = (points - 0.5) / variance, (-points - 0.5) / variance
    log_b = np.log1p(q * np.expm1(backward))
    near = np.minimum(forward, 30.0)
    log_a = np.log1p(q * np.expm1(near))
    # log(A / B) without cancellation: A - B is q e^forward (1 - e^(-2x / sigma^2)).
    losses = np.log1p(q * np.exp(near) * -np.expm1(-2.0 * points / variance) / np.exp(log_b))
    steep = int(np.searchsorted(forward, 30.0))  # from here on the exponential would lose the 1, then overflow
    log_a[steep:] = np.logaddexp(math.log1p(-q), math.log(q) + forward[steep:])
    losses[steep:] = log_a[steep:] - log_b[steep:]
    log_weight = math.log(step / (sigma * math.sqrt(2.0 * math.pi))) - 0.5 * (points / sigma) ** 2
    growth = (order - 1.0) * losses
    with np.errstate(divide="ignore", under="ignore"):
        terms = log_weight + log_a + growth + np.log(-np.expm1(-growth)) + np.log(-np.expm1(-order * losses))
    fine, coarse = np.logaddexp.reduce(terms), np.logaddexp.reduce(terms[::2]) + math.log(2.0)
    if max(fine, coarse) == -math.inf:  # below every float
        return math.ulp(0.0)
    log_excess = max(fine, coarse) + abs(fine - coarse) + _SLACK
    return float(np.logaddexp(0.0, log_excess)) * (1.0 + _SLACK)


def _without_integral(q: float, sigma: float, orders: FloatArray) -> FloatArray:
    """No amplification, from one end of the unit ball to the other; or joint convexity: moment <= 1 - q + q moment."""
    above = orders - 1.0
    with np.errstate(over="ignore"):
        whole = 2.0 * orders * above / sigma / sigma
        return np.minimum(whole, log_mixture(q, whole)) * (1.0 + _SLACK)
