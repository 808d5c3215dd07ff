"""Guarantees of one release that add up under adaptive choices: pure DP, zCDP and Gaussian DP."""

import math

from scipy.special import ndtri

from accountants.events import (
    ZCDP,
    ApproxDP,
    DiscreteGaussian,
    Event,
    Exponential,
    Gaussian,
    GNMax,
    PoissonSampled,
    PureDP,
    RandomizedResponse,
)
from accountants.methods.pure import release_level, rounded_up
from accountants.numerics.rounding import ULP

_UP = 1.0 + 16.0 * ULP  # covers the roundings of the few products below
_TINY = 1e-300  # nothing that costs anything costs less


def pure_level(part: Event) -> float | None:
    """The epsilon of pure DP that the release satisfies, nats, rounded up; None if it satisfies none that is known.

    An exponential mechanism whose loss has range epsilon is epsilon-DP, because its loss takes both signs.

    Example:
        >>> pure_level(PureDP(0.25)), pure_level(Gaussian(1.0))
        (0.25, None)
    """
    exact = release_level(part)
    return None if exact is None or rounded_up(exact) == math.inf else rounded_up(exact)


def concentrated_level(part: Event) -> float | None:
    """The rho of zCDP that the release satisfies, nats, rounded up, maybe infinite; None if none is known.

    Source: Bun, Steinke 2016 (Gaussian sigma: 1 / (2 sigma^2); pure epsilon: epsilon^2 / 2); Canonne, Kamath, Steinke 2020
    (discrete Gaussian); Cesar, Rogers 2021 (bounded range epsilon: epsilon^2 / 8).

    Example:
        >>> round(concentrated_level(Gaussian(2.0)), 9), round(concentrated_level(PureDP(0.5)), 9)
        (0.125, 0.125)
    """
    match part:
        case Gaussian(sigma):
            return 0.5 * _inverse_square(sigma)
        case GNMax(sigma):
            return _inverse_square(sigma)
        case DiscreteGaussian(sigma, sensitivity):
            return 0.5 * _inverse_square(sigma / sensitivity)
        case ZCDP(rho, xi):
            return rho if xi == 0.0 else None
        case Exponential(epsilon, "bounded-range"):
            return 0.125 * _square(epsilon)
        case _:
            level = pure_level(part)
            return None if level is None else 0.5 * _square(level)


def gaussian_level(part: Event) -> float | None:
    """mu^2 of a mu-GDP guarantee of the release, rounded up, maybe infinite; None if none is known.

    Example:
        >>> round(gaussian_level(Gaussian(2.0)), 9), round(gaussian_level(PureDP(1.0)), 4)
        (0.25, 1.5179)
    """
    match part:
        case Gaussian(sigma):
            return _inverse_square(sigma)
        case GNMax(sigma):
            return 2.0 * _inverse_square(sigma)
        case _:
            response = as_response(part)
            return None if response is None else _inverse_square(dominating_gaussian(response).sigma)


def as_response(part: Event) -> RandomizedResponse | None:
    """The randomized response that reveals at least as much; binary response stands for a pure guarantee."""
    if isinstance(part, RandomizedResponse):
        return part
    level = pure_level(part)
    return None if level is None else RandomizedResponse(2, level)


def is_dominated(part: Event, by: Event) -> bool:
    """Whether one release of `by` is known to reveal at least as much as one of `part`, at every epsilon.

    Example:
        >>> is_dominated(RandomizedResponse(10, 0.4), by=RandomizedResponse(3, 0.5)), is_dominated(PureDP(1), by=Gaussian(1))
        (True, False)
    """
    if part == by:
        return True
    match by, part:
        case PoissonSampled(q, Gaussian(sigma)), PoissonSampled(other_q, Gaussian(other_sigma)):
            return other_q <= q and other_sigma >= sigma
        case Gaussian(sigma), Gaussian(other_sigma):
            return other_sigma >= sigma
        case ApproxDP(epsilon, delta), _:
            level, failure = (part.epsilon, part.delta) if isinstance(part, ApproxDP) else (pure_level(part), 0.0)
            return level is not None and level <= epsilon and failure <= delta
        case RandomizedResponse() | PureDP(), _:
            larger, smaller = as_response(by), as_response(part)
            return larger is not None and smaller is not None and smaller.eps0 <= larger.eps0 and smaller.k >= larger.k
        case _:
            return False


def dominating_gaussian(response: RandomizedResponse) -> Gaussian:
    """The noisiest Gaussian, rounded down, that reveals at least as much as one randomized response, at every epsilon.

    The trade-off curve of the response has two corners, (q, 1 - p) and its mirror image, with p and q the chances of
    the true and of any one other symbol. A convex curve through both lies below it everywhere.

    Args:
        response: the release; binary response stands for any release that is eps0-DP.

    Returns:
        Gaussian(1 / mu) with mu = Phi^-1(p) - Phi^-1(q), sigma 0 where q underflows.

    Source: Dong, Roth, Su 2019 (trade-off curves and domination).

    Example:
        >>> round(dominating_gaussian(RandomizedResponse(k=2, eps0=1.0)).sigma, 4)
        0.8117
    """
    log_others = math.log(response.k - 1)
    log_total = max(response.eps0, log_others) + math.log1p(math.exp(-abs(response.eps0 - log_others)))
    kept, other = math.exp(response.eps0 - log_total), math.exp(-log_total)
    # The quantile of the smaller side is the accurate one.
    upper = float(ndtri(kept)) if kept < 0.5 else -float(ndtri(math.exp(log_others - log_total)))
    mu = upper - float(ndtri(other))
    # A chance that is off by a share moves its quantile by at most 1.3 times that share.
    mu += 16.0 * ULP * (4.0 + log_total + response.eps0 + abs(upper) + abs(mu))
    return Gaussian(sigma=(1.0 - 4.0 * ULP) / mu)


def _square(level: float) -> float:
    """Rounded up, and positive where the square underflows."""
    return level * level * _UP + _TINY if level > 0.0 else 0.0


def _inverse_square(sigma: float) -> float:
    """Rounded up; infinite for no noise."""
    return _square(1.0 / sigma) if sigma > _TINY else math.inf
