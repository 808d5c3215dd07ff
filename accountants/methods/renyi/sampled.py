"""Rényi moments of the Poisson-sampled Gaussian mechanism, for any real orders."""

import math

import numpy as np

from accountants.methods.renyi.mixture import log_mixture
from accountants.numerics.array_kinds import FloatArray

_REACH = 9.0  # standard deviations kept on each side; the rest weighs less than 3e-19
_MAX_POINTS = 2**12
_TOGETHER = 8.0  # orders within this factor share their points
_SLACK = 1e-12  # relative, covers rounding of the positive sums


def log_moments(q: float, sigma: float, orders: FloatArray) -> FloatArray:
    """Upper bounds on log E[(1 - q + q e^((2x - 1) / (2 sigma^2)))^alpha], x ~ N(0, sigma^2).

    They are alpha - 1 times the Rényi divergence in the direction in which a record is removed, the worse one. The
    integral is a trapezoid sum, which converges geometrically for this integrand; the difference to the sum with twice
    the step is added. Where the sum would need too many points the triangle inequality of the alpha-norm, or no
    amplification at all, is used instead.

    Args:
        q: sampling probability, in (0, 1).
        sigma: noise multiplier, > 0.
        orders: alpha, > 1, shape (n,).

    Returns:
        Nats, >= 0, shape (n,); too large by about 1e-12 of itself, or more where so small a sigma hides nothing.

    Source: Mironov, Talwar, Zhang 2019 (remove dominates); Abadi et al. 2016.

    Example:
        >>> (log_moments(0.01, 1.1, np.array([8.0])) / 7.0).round(10)
        array([0.00058407])
    """
    found = _without_integral(q, sigma, orders)
    # The integrand is a mixture of Gaussians of width sigma, analytic for |Im x| < pi sigma^2. Twice this step
    # leaves an error of e^(-2 pi^2 / 0.36) = e^(-54) by the first and e^(-2 pi^2 / 0.45) = e^(-43) by the second.
    step = 0.5 * min(0.6 * sigma, 0.45 * sigma * sigma)
    waiting = np.flatnonzero(orders + 2.0 * _REACH * sigma < 2.0 * step * _MAX_POINTS)
    while len(waiting):
        near = orders[waiting] <= _TOGETHER * orders[waiting].min()
        group, waiting = waiting[near], waiting[~near]
        largest = float(orders[group].max())
        half = math.ceil(0.5 * (largest + 2.0 * _REACH * sigma) / step)
        points = 0.5 * largest + step * np.arange(-half, half + 1, dtype=np.float64)
        found[group] = np.minimum(found[group], _trapezoid(q, sigma, orders[group], points, step))
    return found


def _trapezoid(q: float, sigma: float, orders: FloatArray, points: FloatArray, step: float) -> FloatArray:
    log_weight = -0.5 * (points / sigma) ** 2 + math.log(step / (sigma * math.sqrt(2.0 * math.pi)))
    log_ratio = (points - 0.5) / (sigma * sigma)
    bounded = np.minimum(log_ratio, 30.0)
    log_mix = np.log1p(q * np.expm1(bounded))
    steep = int(np.searchsorted(log_ratio, 30.0))  # from here on the exponential would lose the 1, then overflow
    log_mix[steep:] = np.logaddexp(math.log1p(-q), math.log(q) + log_ratio[steep:])
    growth = orders[:, None] * log_mix
    terms = growth + log_weight
    fine, coarse = _log_sum(terms), _log_sum(terms[:, ::2]) + math.log(2.0)
    bound = fine + np.abs(fine - coarse) + _SLACK * fine
    small = np.flatnonzero(fine <= 0.5)
    if not len(small):
        return bound
    # Near 1 subtract the mean under the integral: (1 + v)^a - 1 - a v is never negative: no cancellation.
    weight = np.exp(log_weight)
    shift = q * weight * np.expm1(bounded)
    shift[steep:] = q * np.exp(np.minimum(log_ratio[steep:] + log_weight[steep:], 0.0))
    growth, alpha = growth[small], orders[small]
    power = np.where(growth < 30.0, weight * np.expm1(np.minimum(growth, 30.0)), np.exp(terms[small]))
    excess = np.maximum(power - alpha[:, None] * shift, 0.0)
    fine, coarse = excess.sum(axis=1), 2.0 * excess[:, ::2].sum(axis=1)
    # What rounding leaves of the subtraction, and the mass beyond the reach.
    rounding = alpha * (2.0**-50 * np.abs(shift).sum() + 1e-18 * q)
    bound[small] = np.log1p(fine + np.abs(fine - coarse) + _SLACK * fine + rounding)
    return bound


def _without_integral(q: float, sigma: float, orders: FloatArray) -> FloatArray:
    """No amplification, or Minkowski: |1 - q + q r|_alpha <= 1 - q + q |r|_alpha."""
    with np.errstate(over="ignore"):
        norm = 0.5 * (orders - 1.0) / sigma / sigma
        return orders * np.minimum(norm, log_mixture(q, norm)) * (1.0 + _SLACK)


def _log_sum(terms: FloatArray) -> FloatArray:
    top = terms.max(axis=1)
    return top + np.log(np.exp(terms - top[:, None]).sum(axis=1))
