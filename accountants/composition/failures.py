"""Probability mass that is lost for good: failures of (epsilon, delta)-claims, and releases without noise."""

import math
from collections.abc import Mapping

from accountants.events import ApproxDP, Event, Gaussian, PoissonSampled, PureDP
from accountants.methods.method import Interval, Parts
from accountants.numerics.rounding import ULP


def split_failures(counts: Parts) -> tuple[dict[Event, int], Interval]:
    """The parts with every ApproxDP as PureDP, and a certified interval around the split-off failure mass.

    The worst (epsilon, delta)-mechanism fails openly with probability delta and is the worst
    epsilon-mechanism otherwise, so delta_total = failure + (1 - failure) * delta_rest exactly.

    Source: Kairouz, Oh, Viswanath 2015; Murtagh, Vadhan 2016.
    """
    parts: dict[Event, int] = {}
    claims: dict[float, int] = {}
    for part, count in counts.items():
        kept = part
        if isinstance(part, ApproxDP):
            claims[part.delta] = claims.get(part.delta, 0) + count
            if part.epsilon == 0.0:
                continue
            kept = PureDP(part.epsilon)
        parts[kept] = parts.get(kept, 0) + count
    return parts, _any_of(claims)


def revealing_mass(counts: Parts) -> Interval | None:
    """Certified interval around the probability that a noiseless release shows a record; None without any."""
    chances: dict[float, int] = {}
    for part, count in counts.items():
        if _has_no_noise(part):
            chance = part.q if isinstance(part, PoissonSampled) else 1.0
            chances[chance] = chances.get(chance, 0) + count
    return _any_of(chances) if chances else None


def sampled_mass(counts: Parts) -> float:
    """Upper bound on the probability that the changed record is used at all; 1 unless everything is Poisson-sampled.

    With what is left nothing depends on the record, so that delta never exceeds this, at any epsilon.
    """
    if not counts or not all(isinstance(part, PoissonSampled) and part.q < 1.0 for part in counts):
        return 1.0
    log_none = math.fsum(
        count * math.log1p(-part.q) for part, count in counts.items() if isinstance(part, PoissonSampled)
    )
    return min(1.0, -math.expm1(log_none) * (1.0 + 32.0 * ULP) + math.ulp(0.0))


def left_over(delta: float, failure: Interval) -> Interval:
    """Certified interval around the delta left for the rest; negative if the failures alone exceed delta."""
    if failure == (0.0, 0.0):
        return delta, delta
    low, high = ((delta - mass) / (1.0 - mass) if mass < 1.0 else -1.0 for mass in (failure[1], failure[0]))
    if low == high == 0.0:
        return 0.0, 0.0
    return low - 8.0 * ULP * abs(low), high + 8.0 * ULP * abs(high)


def plus_failure(delta: Interval, failure: Interval) -> Interval:
    """Certified interval around the delta of everything, failures included, from the delta of the rest."""
    if failure == (0.0, 0.0):
        return delta
    lower, upper = (mass + (1.0 - mass) * rest for mass, rest in zip(failure, delta, strict=True))
    if delta[1] > 0.0:
        lower, upper = lower * (1.0 - 4.0 * ULP), min(1.0, upper * (1.0 + 4.0 * ULP))
    return lower, upper


def _has_no_noise(part: Event) -> bool:
    if isinstance(part, PoissonSampled):
        inner = part.event
        return any(map(_has_no_noise, getattr(inner, "events", (inner,))))
    return isinstance(part, Gaussian) and part.sigma == 0.0


def _any_of(chances: Mapping[float, int]) -> Interval:
    """Probability that at least one of independent failures happens."""
    if 1.0 in chances:
        return 1.0, 1.0
    if len(chances) <= 1 and all(count == 1 for count in chances.values()):
        only = next(iter(chances), 0.0)
        return only, only
    log_none = math.fsum(count * math.log1p(-chance) for chance, count in chances.items())
    mass = -math.expm1(log_none)
    slack = 16.0 * ULP * mass
    return mass - slack, min(1.0 - ULP, mass + slack) if mass < 1.0 else 1.0
