"""One Gaussian release on one Poisson sample, in closed form: amplification turns the Gaussian curve into the answer.

Source: Balle, Barthe, Gaboardi 2018; both directions of add-remove as in Zhu, Dong, Wang 2022.
"""

import math

from accountants.methods.exact import gaussian
from accountants.numerics.root_finding import last_inside
from accountants.numerics.rounding import ULP

_SLACK = 64.0 * ULP


def delta_of(q: float, sigma: float, epsilon: float) -> tuple[float, float]:
    """Certified interval around delta(epsilon), the worse of removing and adding a record.

    Args:
        q: sampling probability, in (0, 1).
        sigma: noise standard deviation / L2 sensitivity, > 0.
        epsilon: nats, >= 0.

    Returns:
        (lower, upper), both in [0, q] up to rounding.

    Example:
        >>> lower, upper = delta_of(0.2, 0.5, 1.0)
        >>> round(lower, 9), round(upper, 9)
        (0.057840406, 0.057840406)
    """
    mu = 1.0 / sigma
    # Removing: q H(1 + (e^eps - 1) / q).
    growth = math.expm1(epsilon) / q if epsilon < 700.0 else math.inf
    inner = math.log1p(growth) if growth < math.inf else epsilon - math.log(q)
    low, high = _around(mu, inner)
    lower, upper = q * low, q * high
    # Adding: (1 - (1 - q) e^eps) H(q e^eps / (1 - (1 - q) e^eps)), nothing where that is negative.
    reach = -2.0 * math.log1p(-q)  # twice where the factor vanishes
    left = q - math.expm1(epsilon) * (1.0 - q) if epsilon <= reach else -1.0
    if left > _SLACK:
        inner = epsilon + math.log(q) - math.log(left)
        widened = _SLACK * (1.0 + 1.0 / left)
        low, high = _around(mu, max(0.0, inner), widened)
        lower, upper = max(lower, left * low * (1.0 - widened)), max(upper, left * high * (1.0 + widened))
    elif left > -_SLACK:
        upper = max(upper, 2.0 * _SLACK)  # the factor alone bounds it
    return lower * (1.0 - _SLACK), min(1.0, upper * (1.0 + _SLACK) + math.ulp(0.0))


def epsilon_of(q: float, sigma: float, delta: float) -> tuple[float, float]:
    """Certified interval in nats around the smallest epsilon with delta(epsilon) <= delta, in (0, 1); else as `delta_of`.

    Example:
        >>> epsilon_of(1e-5, 0.3, 1e-5)
        (0.0, 0.0)
    """
    if delta_of(q, sigma, 0.0)[1] <= delta:
        return 0.0, 0.0
    end = gaussian.epsilon_of(1.0 / sigma, delta)[1]
    if end == math.inf:
        return 0.0, math.inf
    tolerance = 8.0 * ULP * end
    upper = last_inside(lambda epsilon: delta_of(q, sigma, epsilon)[1] - delta, end, 0.0, tolerance=tolerance)
    lower = 0.0
    if delta_of(q, sigma, 0.0)[0] > delta:
        lower = last_inside(lambda epsilon: delta - delta_of(q, sigma, epsilon)[0], 0.0, end, tolerance=tolerance)
    return min(lower, upper), upper


def _around(mu: float, epsilon: float, error: float = 0.0) -> tuple[float, float]:
    """The Gaussian curve at an epsilon that carries rounding; it falls."""
    slack = _SLACK * (1.0 + epsilon) + error
    return gaussian.delta_of(mu, epsilon + slack)[0], gaussian.delta_of(mu, max(0.0, epsilon - slack))[1]
