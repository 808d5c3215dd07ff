"""Pure guarantees: the smallest epsilon at delta = 0, that is the largest loss of any output.

Largest losses add up over releases, because one output shows all of them at once. Under add-remove and zero-out they are
all reached in the same direction, where the record is removed. Claims and families of mechanisms count with the supremum
over what they allow: no smaller epsilon holds for all of it.

- A bounded range epsilon allows an answer whose loss comes as close to epsilon as one likes, while its chance vanishes.
- A Poisson or fixed-size sample of a release of level e has log(1 + q (e^e - 1)): what is not in the batch leaves the output
  as likely as it is without the record (or, in a batch of fixed size, with another record of the new value).
- A record replaced in a Poisson sample moves the output from 1 - q + q e^-e to 1 - q + q e^e times its chance without it.
- Random allocation saves nothing: every round may show the record, whichever were drawn.
"""

import math
import sys
from fractions import Fraction

from accountants.adjacency import Adjacency
from accountants.events import (
    RDP,
    ZCDP,
    ApproxDP,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Exponential,
    FixedSizeSampled,
    Gaussian,
    GNMax,
    GroupSampledGaussian,
    Laplace,
    Parallel,
    PoissonSampled,
    PureDP,
    RandomAllocation,
    RandomizedResponse,
    SubsetResponse,
    normal_form,
)
from accountants.methods.method import Parts
from accountants.numerics.rounding import ULP

Level = Fraction | float  # a float only where it is infinite
Levels = tuple[Level, Level]

_SLACK = 1e-14  # relative rounding of a sampled level
_STEEP = 700.0  # e^level stays a float
_ENDLESS: Levels = (math.inf, math.inf)
_UNKNOWN: Levels = (Fraction(0), math.inf)


def pure_epsilon(parts: Parts, adjacency: Adjacency | None) -> tuple[float, float]:
    """Certified interval around the smallest epsilon at delta = 0.

    Args:
        parts: part of a normal form -> count.
        adjacency: neighbouring relation; None covers every one for parallel parts, and takes Poisson samples under
            add-remove (or zero-out).

    Returns:
        (lower, upper) in nats: neighbouring floats where the level is a sum of given numbers; both infinite where losses
        have no end, (0, inf) where nothing is known.

    Example:
        >>> pure_epsilon({Laplace(4.0): 3}, Adjacency.ADD_REMOVE)
        (0.75, 0.75)
        >>> low, high = pure_epsilon({Laplace(1.0).poisson(0.1): 1}, Adjacency.ADD_REMOVE)
        >>> round(low, 6), round(high, 6)
        (0.158565, 0.158565)
    """
    low, high = _total(parts, adjacency)
    return _rounded_down(low), rounded_up(high)


def release_level(part: Event) -> Fraction | None:
    """The pure level of one unsampled release, exactly; None if it has none, or none is known.

    Example:
        >>> release_level(DiscreteLaplace(0.5, 3)), release_level(Gaussian(1.0))
        (Fraction(3, 2), None)
    """
    match part:
        case PureDP(epsilon) | Exponential(epsilon, _):
            return Fraction(epsilon)
        case RandomizedResponse(_, eps0) | SubsetResponse(_, _, eps0):
            return Fraction(eps0)
        case Laplace(scale):
            return 1 / Fraction(scale)
        case DiscreteLaplace(rate, sensitivity):
            return Fraction(rate) * sensitivity
        case _:
            return None


def rounded_up(level: Level) -> float:
    """The smallest float that is at least the level; infinite beyond the largest float.

    Example:
        >>> rounded_up(Fraction(1, 3)) > Fraction(1, 3), rounded_up(Fraction(3, 2))
        (True, 1.5)
    """
    if level > sys.float_info.max:
        return math.inf
    nearest = float(level)
    return nearest if nearest >= level else math.nextafter(nearest, math.inf)


def _rounded_down(level: Level) -> float:
    if level == math.inf:
        return math.inf
    nearest = float(min(level, Fraction(sys.float_info.max)))
    return nearest if nearest <= level else math.nextafter(nearest, 0.0)


def _total(parts: Parts, adjacency: Adjacency | None) -> Levels:
    """Sums of the levels of the parts, each times its count."""
    levels = [(count, _level(part, adjacency)) for part, count in parts.items()]
    low, high = (_sum([count * ends[side] for count, ends in levels]) for side in (0, 1))
    return low, high


def _sum(levels: list[Level]) -> Level:
    return math.inf if math.inf in levels else sum(levels, Fraction(0))


def _level(part: Event, adjacency: Adjacency | None) -> Levels:
    """Lower and upper end of the level of one part."""
    exact = release_level(part)
    if exact is not None:
        return exact, exact
    match part:
        case PoissonSampled():
            return _poisson(part, adjacency)
        case FixedSizeSampled(m, n):
            low, high = _total(normal_form(part.event, adjacency=adjacency), adjacency)
            return _sampled(m / n, low, -1), _sampled(m / n, high, 1)
        case RandomAllocation(_, selected, epochs):
            low, high = _total(normal_form(part.event, adjacency=adjacency), adjacency)
            return selected * epochs * low, selected * epochs * high
        case Parallel(events):
            return _parallel(events, adjacency)
        case ZCDP(rho, xi) if rho == 0.0:  # divergences of all orders, hence the largest loss, are at most xi
            return Fraction(xi), Fraction(xi)
        case Gaussian() | GNMax() | DiscreteGaussian() | GroupSampledGaussian() | ZCDP() | ApproxDP():
            return _ENDLESS
        case RDP(_, values) if min(values) > 0.0:  # a Gaussian with enough noise satisfies the claim
            return _ENDLESS
        case _:
            return _UNKNOWN


def _poisson(sampled: PoissonSampled, adjacency: Adjacency | None) -> Levels:
    if Adjacency.ADD_REMOVE not in sampled.event.adjacencies:
        return _UNKNOWN
    replaced = adjacency is Adjacency.REPLACE_ONE
    inner = normal_form(sampled.event, adjacency=Adjacency.ADD_REMOVE if replaced else adjacency)
    low, high = _total(inner, Adjacency.ADD_REMOVE if replaced else adjacency)
    removed = _sampled(sampled.q, low, -1), _sampled(sampled.q, high, 1)
    if not replaced:
        return removed
    # From 0 to a full contribution is one way to replace; to the opposite one is reached where no sample lies inside.
    is_reached = all(release_level(part) is not None for part in inner)
    below = _sum([removed[0], _shrunk(sampled.q, low, -1)]) if is_reached else removed[0]
    return below, _sum([removed[1], _shrunk(sampled.q, high, 1)])


def _parallel(events: tuple[Event, ...], adjacency: Adjacency | None) -> Levels:
    """The costliest part; a record that is replaced may leave one and enter another."""
    inside = [_total(normal_form(event, adjacency=adjacency), adjacency) for event in events]
    touched = 1 if adjacency in (Adjacency.ADD_REMOVE, Adjacency.ZERO_OUT) else 2
    costliest = sorted((high for _, high in inside), reverse=True)[:touched]
    return max((low for low, _ in inside), default=Fraction(0)), _sum(costliest)


def _sampled(q: float, level: Level, sign: int) -> Level:
    """log(1 + q (e^level - 1)), rounded down (sign -1) or up (sign 1)."""
    if level == math.inf:
        return math.inf
    end = rounded_up(level) if sign > 0 else _rounded_down(level)
    if end <= _STEEP:
        return _slackened(math.log1p(q * math.expm1(end)), sign)
    if end == math.inf:
        return math.inf
    shifted = end + math.log(q)
    shifted += sign * 8.0 * ULP * (end - math.log(q))
    return _slackened(max(shifted, 0.0) + math.log1p(math.exp(-abs(shifted))), sign)


def _shrunk(q: float, level: Level, sign: int) -> Level:
    """-log(1 - q + q e^-level), rounded down (sign -1) or up (sign 1)."""
    if q == 1.0 or level == math.inf:
        return level if q == 1.0 else _slackened(-math.log1p(-q), sign)
    end = rounded_up(level) if sign > 0 else _rounded_down(level)
    lost = -q * math.expm1(-end)
    found = -math.log1p(-lost) if lost < 0.5 else -math.log(1.0 - q + q * math.exp(-end))
    return _slackened(found, sign)


def _slackened(level: float, sign: int) -> Level:
    if level == math.inf:
        return math.inf
    return Fraction(max(0.0, level * (1.0 + sign * _SLACK) + sign * 4.0 * math.ulp(0.0)))
