"""Gaussian differential privacy, exact: the curve of a pair of unit Gaussians whose means differ by mu.

Every value comes with a rigorous allowance for rounding, so that lower <= truth <= upper.
Source: Balle and Wang 2018; Dong, Roth, Su 2019. mu = L2 sensitivity / noise standard deviation.
"""

import math

from scipy.special import erfcx, erfinv, log_ndtr, ndtri

from accountants import check
from accountants.numerics.root_finding import last_inside
from accountants.numerics.rounding import ULP, exp_down, exp_up

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_ROOT_HALF = math.sqrt(0.5)
_MILLS_SCALE = math.sqrt(math.pi / 2.0)
_FAR = 1e100  # beyond it nothing is left, and squares would overflow
_SPECIAL = 16.0 * ULP  # allowance for one call of a special function and the arithmetic around it


def delta_of(mu: float, epsilon: float) -> tuple[float, float]:
    """Certified interval around delta(epsilon) = Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu).

    Args:
        mu: distance of the means in standard deviations, >= 0; may be infinite.
        epsilon: nats, >= 0; may be infinite.

    Returns:
        (lower, upper), both in [0, 1].

    Example:
        >>> lower, upper = delta_of(1.0, 1.0)
        >>> lower <= 0.126936737506644 <= upper, upper - lower < 1e-13
        (True, True)
    """
    log_lower, log_upper = log_delta_of(mu, epsilon)
    return exp_down(log_lower), min(1.0, exp_up(log_upper))


def log_delta_of(mu: float, epsilon: float) -> tuple[float, float]:
    """Certified interval around log delta(epsilon), -inf where delta is 0; never underflows. Otherwise as `delta_of`."""
    if mu == 0.0 or epsilon == math.inf:
        return -math.inf, -math.inf
    if mu == math.inf:
        return 0.0, 0.0
    ratio = epsilon / mu
    low, high = ratio - 0.5 * mu, ratio + 0.5 * mu
    if low > _FAR:
        return -math.inf, -_FAR  # Phi(-low) <= exp(-low)
    return _right_tail(mu, low, high) if low >= 0.0 else _around_mean(mu, epsilon, low, high)


def epsilon_of(mu: float, delta: float) -> tuple[float, float]:
    """Certified interval around the smallest epsilon with delta(epsilon) <= delta.

    Args:
        mu: distance of the means in standard deviations, >= 0; may be infinite.
        delta: failure mass, in [0, 1).

    Returns:
        (lower, upper) in nats; both infinite if delta is 0 and mu is not.

    Example:
        >>> lower, upper = epsilon_of(1.0, 1e-5)
        >>> lower <= 4.37717809568122 <= upper, upper - lower < 1e-11
        (True, True)
    """
    if mu == 0.0:
        return 0.0, 0.0
    if delta == 0.0 or mu == math.inf:
        return math.inf, math.inf
    target = math.log(delta)
    # log rounds: aim an ulp to the safe side in each direction.
    safe, unsafe = target - 2.0 * ULP * (1.0 + abs(target)), target + 2.0 * ULP * (1.0 + abs(target))
    end = _enough(mu, delta)
    if end == math.inf:  # mu^2 / 2 overflows
        return 0.0, math.inf
    tolerance = 4.0 * ULP * end
    upper = 0.0
    if log_delta_of(mu, 0.0)[1] > safe:
        upper = last_inside(lambda epsilon: log_delta_of(mu, epsilon)[1] - safe, end, 0.0, tolerance=tolerance)
    lower = 0.0
    if log_delta_of(mu, 0.0)[0] > unsafe:
        lower = last_inside(lambda epsilon: unsafe - log_delta_of(mu, epsilon)[0], 0.0, end, tolerance=tolerance)
    return min(lower, upper), upper


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Largest mu, rounded down, whose Gaussian mechanism is (epsilon, delta)-DP.

    Noise of standard deviation sensitivity / mu never costs more than asked, rounding included.

    Args:
        epsilon: budget in nats, >= 0.
        delta: failure mass, in (0, 1).

    Returns:
        Distance of the means in standard deviations, > 0 (0 only if even the smallest float is too much).

    Raises:
        ValueError: an argument is out of range.

    Source: Balle and Wang 2018 (analytic Gaussian mechanism).

    Example:
        >>> round(gaussian_mu(1.0, 1e-5), 4)
        0.2681
    """
    epsilon = check.as_float(epsilon=epsilon, at_least=0.0)
    delta = check.as_float(delta=delta, above=0.0, below=1.0)
    target = math.log(delta)
    target -= 2.0 * ULP * (1.0 + abs(target))

    def excess(mu: float) -> float:
        # A caller turns mu into sigma = sensitivity / mu, and a ledger that back into epsilon: leave room for
        # those roundings and for the allowance of that evaluation, so that what was budgeted is accepted.
        log_lower, log_upper = log_delta_of(mu * (1.0 + 40.0 * ULP), epsilon)
        room = 2.0 * (log_upper - log_lower) if log_lower > -math.inf else 0.0
        return log_upper + room - target

    # At this start low = -ndtri(delta), where Phi(-low) alone is already delta, or epsilon is 0.
    quantile = -float(ndtri(delta))
    start = -quantile + math.hypot(quantile, math.sqrt(2.0) * math.sqrt(epsilon)) if epsilon > 0.0 else 0.0
    start = max(start, 2.0 * math.sqrt(2.0) * float(erfinv(delta))) or delta
    outside = 1.5 * start
    while excess(outside) <= 0.0:
        outside *= 2.0
    inside = start
    while inside > 0.0 and excess(inside) > 0.0:
        outside, inside = inside, 0.5 * inside
    return last_inside(excess, inside, outside, tolerance=4.0 * ULP * outside)


def _right_tail(mu: float, low: float, high: float) -> tuple[float, float]:
    """Log delta where low >= 0: phi(low) * (M(low) - M(high)), M the Mills ratio."""
    mills_low, mills_high = _mills(low), _mills(high)
    gap = mills_low - mills_high
    error = 2.0 * _SPECIAL * (mills_low + mills_high)
    # The Mills ratio falls by 1 - t M(t) per unit; that slope has closed bounds without cancellation.
    root_low, root_high = math.hypot(low, 2.0), math.hypot(high, math.sqrt(8.0))
    log_steep = math.log(4.0 * mu) - 2.0 * math.log(root_low + low)
    log_flat = math.log(8.0 * mu) - math.log(root_high + high) - math.log(3.0 * high + root_high)
    log_gap = [math.log(end) if end > 0.0 else -math.inf for end in (gap - error, gap + error)]
    log_lower, log_upper = max(log_gap[0], log_flat), min(log_gap[1], log_steep)
    log_density = -0.5 * low * low - _LOG_SQRT_2PI
    # low carries an absolute error of one ulp of eps/mu, which the density sees multiplied by low.
    logs = abs(math.log(mu)) + 2.0 * math.log(root_high) + abs(log_upper)
    slack = 8.0 * ULP * (low * (high + low) + low * low + logs + 8.0)
    return log_density + log_lower - slack, min(0.0, log_density + log_upper + slack)


def _around_mean(mu: float, epsilon: float, low: float, high: float) -> tuple[float, float]:
    """Log delta where low < 0: Phi(-low) - phi(low) M(high), at least about 0.4 mu."""
    density = math.exp(-0.5 * low * low - _LOG_SQRT_2PI)
    subtracted = density * _mills(high)
    value = math.exp(float(log_ndtr(-low))) - subtracted
    error = _SPECIAL * (1.0 + density * (high - low) + subtracted * (1.0 + low * low + abs(low) * high))
    at_zero = math.erf(0.5 * mu * _ROOT_HALF)  # delta(0); the curve falls with slope at most 1
    upper = min(value + error, at_zero * (1.0 + _SPECIAL), 1.0)
    lower = max(value - error, at_zero * (1.0 - _SPECIAL) - epsilon)
    log_lower = math.log(lower) if lower > 0.0 else -math.inf
    if log_lower > -math.inf:
        log_lower -= _SPECIAL * (1.0 + abs(log_lower))
    return log_lower, min(0.0, math.log(upper) + _SPECIAL * (1.0 + abs(math.log(upper))))


def _mills(point: float) -> float:
    """Phi(-t) / phi(t) for t >= 0, accurate to a few ulps."""
    return _MILLS_SCALE * float(erfcx(point * _ROOT_HALF))


def _enough(mu: float, delta: float) -> float:
    """An epsilon whose delta is certainly below: Phi(-low) alone is already smaller there."""
    quantile = max(0.0, -float(ndtri(delta))) + 1e-3
    return mu * (0.5 * mu + 1.001 * quantile)
