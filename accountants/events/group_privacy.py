"""From one record to a group of records: what an event, or a guarantee, is worth for several records of one person."""

import math
from dataclasses import replace
from fractions import Fraction
from functools import singledispatch

from accountants import check
from accountants.errors import UnsupportedEvent
from accountants.events import (
    GDP,
    RDP,
    ZCDP,
    ApproxDP,
    Composed,
    ConfidentGNMax,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Exponential,
    Gaussian,
    GNMax,
    Laplace,
    LNMax,
    MatrixFactorization,
    PoissonSampled,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    Repeat,
    SparseVector,
    SubsetResponse,
    TreeAggregation,
    normal_form,
)
from accountants.events.event import MAX_COUNT, require_event
from accountants.events.person_groups import GroupSampledGaussian
from accountants.numerics.rounding import fraction_down, fraction_up

_ROUNDING = 2.0**-50
_NO_PRIVACY = Gaussian(0.0)


def group(event: Event, size: int) -> Event:
    """The event as it looks for a group of up to `size` records that all change at once.

    "Change" as in the event's adjacency: all records of the group are removed (or all added), or each is replaced. Numbers
    are rounded to the private side.

    - Noise on a sum, votes, trees and factorizations: the sensitivity of a group is `size` times that of a record.
    - A Poisson-sampled Gaussian: the group's number of records in the batch is binomial, `GroupSampledGaussian`.
    - Responses and pure guarantees: `PureDP(size * epsilon)`, by adding up a chain of changes of one record; the range of a
      bounded-range loss adds up in the same way.
    - mu-GDP: size * mu (Dong, Roth, Su 2019). (epsilon, delta)-DP: `group_privacy`.
    - (xi, rho)-zCDP: (size H xi, size^2 rho) with H = 1 + 1/2 + ... + 1/size (Bun, Steinke 2016).
    - RDP: for size <= 2^c the orders alpha >= 2^(c+1) become alpha / 2^c; each halving to an order beta multiplies the value
      by 1 + (beta - 1/2) / (beta - 1), at most 5/2 (Mironov 2017, weak triangle inequality; his 3 is this, rounded).

    Args:
        event: what was done, stated for one record.
        size: most records in the group, >= 1.

    Returns:
        An event to account under the same adjacency; the event itself for size 1; `Gaussian(0)`, which has no privacy,
        where nothing is left of a claim.

    Raises:
        UnsupportedEvent: nothing is proven for a part, which is named, such as samples of fixed size and parallel parts.
        TypeError: `event` is no event, or `size` no integer.
        ValueError: size is out of range.

    Example:
        >>> group(Gaussian(4.0) * 10 + PureDP(0.5), 2)
        gaussian(2) * 10 + pure_dp(1)
        >>> group(Gaussian(1.1).poisson(0.01) * 100, 3)
        group_poisson_gaussian(sigma=1.1, q=0.01, size=3) * 100
    """
    require_event(event=event)
    size = check.as_int(size=size, at_least=1, at_most=MAX_COUNT)
    return event if size == 1 else _group(event, size)


@singledispatch
def _group(event: Event, size: int) -> Event:
    raise UnsupportedEvent(
        f"{event!r} ({type(event).__name__}): no guarantee for a group of size={size} is proven here; account for single "
        "records and use group_privacy(epsilon, delta, size)"
    )


@_group.register
def _(event: Repeat | Composed, size: int) -> Event:
    return event.rebuilt(lambda part: _group(part, size))


@_group.register
def _(event: Gaussian | TreeAggregation | MatrixFactorization, size: int) -> Event:
    return replace(event, sigma=_shared(event.sigma, size))


@_group.register
def _(event: Laplace | SparseVector, size: int) -> Event:
    scale = _shared(event.scale, size)
    return replace(event, scale=scale) if scale > 0.0 else _NO_PRIVACY


@_group.register
def _(event: GNMax, size: int) -> Event:
    return GNMax(_shared(event.sigma, size))  # without the votes


@_group.register
def _(event: LNMax, size: int) -> Event:
    scale = _shared(event.scale, size)
    return LNMax(scale) if scale > 0.0 else _NO_PRIVACY


@_group.register
def _(event: ConfidentGNMax, size: int) -> Event:
    # Moving `size` votes changes the largest count by at most `size`.
    shared = _shared(event.sigma1, size), _shared(event.sigma2, size)
    return ConfidentGNMax(event.threshold, *shared, event.checked, event.answered)


@_group.register
def _(event: DiscreteGaussian | DiscreteLaplace, size: int) -> Event:
    return replace(event, sensitivity=event.sensitivity * size)


@_group.register
def _(event: RandomizedResponse | SubsetResponse | PriorResponse, size: int) -> Event:
    return _pure(event.eps0, size) if event.k > 1 else event


@_group.register
def _(event: PureDP, size: int) -> Event:
    return _pure(event.epsilon, size)


@_group.register
def _(event: Exponential, size: int) -> Event:
    total = _times(event.epsilon, size)
    return Exponential(total, event.kind) if total < math.inf else _NO_PRIVACY


@_group.register
def _(event: GDP, size: int) -> Event:
    mu = _times(event.mu, size)
    return GDP(mu) if mu < math.inf else _NO_PRIVACY


@_group.register
def _(event: ZCDP, size: int) -> Event:
    # H <= 1 + log(size); the exact sum only where it is short.
    harmonic = sum(Fraction(1, k) for k in range(1, size + 1)) if size <= 100 else Fraction(1.0 + math.log(size)) + 1
    rho, xi = _times(event.rho, Fraction(size) ** 2), _times(event.xi, size * harmonic)
    return ZCDP(rho, xi) if max(rho, xi) < math.inf else _NO_PRIVACY


@_group.register
def _(event: ApproxDP, size: int) -> Event:
    epsilon, delta = group_privacy(event.epsilon, event.delta, size)
    return ApproxDP(epsilon, delta) if delta < 1.0 and epsilon < math.inf else _NO_PRIVACY


@_group.register
def _(event: RDP, size: int) -> Event:
    halvings = (size - 1).bit_length()
    curve: dict[float, float] = {}
    for order, value in zip(event.orders, event.values, strict=True):
        if order < 2.0 ** (halvings + 1):
            continue
        factor = Fraction(1)
        for done in range(1, halvings + 1):
            target = Fraction(order) / 2**done
            factor *= 1 + (target - Fraction(1, 2)) / (target - 1)
        grown = _times(value, factor)
        if grown < math.inf:
            curve[order / 2.0**halvings] = grown
    if not curve:
        raise UnsupportedEvent(
            f"{event!r}"[:200] + f": a group of size={size} needs a Rényi order of at least {2 ** (halvings + 1)}"
        )
    return RDP(tuple(curve), tuple(curve.values()))


@_group.register
def _(event: PoissonSampled, size: int) -> Event:
    parts = normal_form(event)
    if not parts:
        return Composed(())
    ((part, count),) = parts.items()
    if isinstance(part, PoissonSampled) and isinstance(part.event, Gaussian) and count == 1:
        return GroupSampledGaussian(part.event.sigma, part.q, size)
    raise UnsupportedEvent(
        f"{event!r}: for groups, only Gaussians and their compositions are supported inside .poisson(q); drop .poisson(q), "
        "which only costs more"
    )


def group_privacy(epsilon: float, delta: float, size: int) -> tuple[float, float]:
    """The guarantee for `size` records that follows from the guarantee for one; rounded up.

    Exact tools do better where the mechanism is known: `group` gives the event of a group.

    Args:
        epsilon: guarantee for one record, nats, >= 0.
        delta: failure mass for one record, in [0, 1).
        size: number of records in the group, >= 1.

    Returns:
        (size * epsilon, delta * (e^(size eps) - 1) / (e^eps - 1)), the second at most 1, where it says nothing.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> epsilon, delta = group_privacy(1.0, 1e-6, 3)
        >>> round(epsilon, 6), round(delta, 10)
        (3.0, 1.11073e-05)
    """
    epsilon = check.as_float(epsilon=epsilon, at_least=0.0)
    delta = check.as_float(delta=delta, at_least=0.0, below=1.0)
    size = check.as_int(size=size, at_least=1)
    if size == 1:
        return epsilon, delta
    total = size * epsilon * (1.0 + _ROUNDING)
    if delta == 0.0:
        return total, 0.0
    log_factor = math.log(size)
    if epsilon > 0.0:
        log_factor = (size - 1) * epsilon + math.log(-math.expm1(-size * epsilon)) - math.log(-math.expm1(-epsilon))
    log_delta = math.log(delta) + log_factor
    slack = 8.0 * _ROUNDING * (1.0 + abs(log_factor) + abs(math.log(delta)) + size * epsilon)
    return total, math.exp(min(0.0, log_delta + slack))


def _pure(epsilon: float, size: int) -> Event:
    total = _times(epsilon, size)
    return PureDP(total) if total < math.inf else _NO_PRIVACY


def _shared(noise: float, size: int) -> float:
    """The noise per record, rounded down."""
    return fraction_down(Fraction(noise) / size)


def _times(value: float, factor: Fraction | int) -> float:
    """The product, rounded up; infinite beyond the largest float."""
    return fraction_up(Fraction(value) * factor)
