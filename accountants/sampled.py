"""Rényi moments of the Poisson-sampled Gaussian mechanism, for any real order."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_moment"]

FloatArray = NDArray[np.float64]

_REACH = 9.0  # standard deviations kept on each side; the rest weighs less than 3e-19
_MAX_POINTS = 2**15
_SLACK = 1e-12  # relative, covers rounding of the positive sums


def log_moment(q: float, sigma: float, alpha: float) -> float:
    """Upper bound on log E[(1 - q + q e^((2x - 1) / (2 sigma^2)))^alpha], x ~ N(0, sigma^2).

    It is alpha - 1 times the Rényi divergence.

    This is the direction in which a record is removed, which is the worse one. The integral is a trapezoid
    sum, which converges geometrically for this integrand; the difference to the sum with twice the step is
    added. Where the sum would need too many points the triangle inequality of the alpha-norm, or no
    amplification at all, is used instead.

    Args:
        q: sampling probability, in (0, 1).
        sigma: noise multiplier, > 0.
        alpha: order, > 1.

    Returns:
        Nats, >= 0; too large by about 1e-12 of itself, or more where `sigma` is so small that nothing is
        private.

    Source: Mironov, Talwar, Zhang 2019 (remove dominates); Abadi et al. 2016.

    Example:
        >>> round(log_moment(0.01, 1.1, 8.0) / 7.0, 10)
        0.0005840703
    """
    ceiling = _without_integral(q, sigma, alpha)
    # The integrand is a mixture of Gaussians of width sigma, analytic for |Im x| < pi sigma^2. Twice this step
    # leaves an error of e^(-2 pi^2 / 0.36) = e^(-54) by the first and e^(-2 pi^2 / 0.45) = e^(-43) by the second.
    step = 0.5 * min(0.6 * sigma, 0.45 * sigma * sigma)
    span = 0.5 * (alpha + 2.0 * _REACH * sigma)
    if not span < step * _MAX_POINTS:
        return ceiling
    half = math.ceil(span / step)
    points = 0.5 * alpha + step * np.arange(-half, half + 1, dtype=np.float64)
    return min(ceiling, _trapezoid(q, sigma, alpha, points, step))


def _trapezoid(q: float, sigma: float, alpha: float, points: FloatArray, step: float) -> float:
    log_weight = -0.5 * (points / sigma) ** 2 + math.log(step / (sigma * math.sqrt(2.0 * math.pi)))
    log_ratio = (points - 0.5) / (sigma * sigma)
    bounded = np.minimum(log_ratio, 30.0)
    log_mix = np.log1p(q * np.expm1(bounded))
    steep = int(np.searchsorted(log_ratio, 30.0))  # from here on the exponential would lose the 1, then overflow
    log_mix[steep:] = np.logaddexp(math.log1p(-q), math.log(q) + log_ratio[steep:])
    growth = alpha * log_mix
    terms = growth + log_weight
    fine, coarse = _log_sum(terms), _log_sum(terms[::2]) + math.log(2.0)
    if fine > 0.5:
        return fine + abs(fine - coarse) + _SLACK * fine
    # Near 1 subtract the mean under the integral: (1 + v)^a - 1 - a v is never negative: no cancellation.
    weight = np.exp(log_weight)
    shift = np.where(
        log_ratio < 30.0,
        weight * np.expm1(bounded),
        np.exp(np.minimum(log_ratio + log_weight, 0.0)),
    )
    power = np.where(growth < 30.0, weight * np.expm1(np.minimum(growth, 30.0)), np.exp(terms))
    excess = np.maximum(power - alpha * q * shift, 0.0)
    fine, coarse = float(excess.sum()), 2.0 * float(excess[::2].sum())
    # What rounding leaves of the subtraction, and the mass beyond the reach.
    rounding = 2.0**-50 * alpha * q * float(np.abs(shift).sum()) + 1e-18 * alpha * q
    return math.log1p(fine + abs(fine - coarse) + _SLACK * fine + rounding)


def _without_integral(q: float, sigma: float, alpha: float) -> float:
    """No amplification, or Minkowski: |1 - q + q r|_alpha <= 1 - q + q |r|_alpha."""
    norm = 0.5 * (alpha - 1.0) / sigma / sigma
    mixed = math.log1p(q * math.expm1(norm)) if norm < 30.0 else float(np.logaddexp(math.log1p(-q), math.log(q) + norm))
    return min(alpha * norm, alpha * mixed) * (1.0 + _SLACK)


def _log_sum(terms: FloatArray) -> float:
    top = float(terms.max())
    return top + math.log(float(np.exp(terms - top).sum()))
