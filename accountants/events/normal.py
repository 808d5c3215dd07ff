"""Normal form: the same cost, written as a multiset of distinct events.

Accountants work on the normal form, so their cost depends on the number of distinct events, never on the
counts.
"""

import math
from collections.abc import Mapping

from accountants import check
from accountants.events.algebra import MAX_COUNT, Composed, Event, PoissonSampled, Repeat
from accountants.events.claims import ApproxDP, PureDP
from accountants.events.gaussian import Gaussian, GNMax
from accountants.events.response import PriorResponse, RandomizedResponse

__all__ = ["as_event", "distinct", "merge_gaussians", "normal_form"]


def normal_form(event: Event) -> dict[Event, int]:
    """The event as distinct, simplified parts and how often each occurs.

    Flattens compositions, pushes counts through, merges equal parts, drops what is free, writes GNMax as
    Gaussian and merges all un-sampled Gaussians into one (whose sigma carries a relative rounding error below
    1e-15).

    Args:
        event: anything.

    Returns:
        Part -> count, counts >= 1; empty for an event that costs nothing.

    Raises:
        ValueError: a total count exceeds 10^15.

    Example:
        >>> normal_form(Gaussian(2) * 4 + RandomizedResponse(3, 0.5) * 2 + RandomizedResponse(3, 0.5))
        {krr(k=3, eps0=0.5): 3, gaussian(1): 1}
    """
    return merge_gaussians(distinct(event))


def distinct(event: Event) -> dict[Event, int]:
    """Like `normal_form`, but Gaussians (and GNMax) stay apart; sums of such multisets stay exact.

    Raises:
        ValueError: a total count exceeds 10^15.
    """
    counts: dict[Event, int] = {}
    _collect(event, 1, counts)
    for part, count in counts.items():
        _require_countable(part, count)
    return counts


def merge_gaussians(counts: Mapping[Event, int]) -> dict[Event, int]:
    """The multiset with all un-sampled Gaussians and GNMax merged: 1/sigma^2 = sum of count/sigma_i^2."""
    gaussians: dict[float, int] = {}
    rest: dict[Event, int] = {}
    for part, count in counts.items():
        if isinstance(part, Gaussian | GNMax):
            sigma = part.sigma if isinstance(part, Gaussian) else part.sigma / math.sqrt(2.0)
            gaussians[sigma] = gaussians.get(sigma, 0) + count
        else:
            rest[part] = count
    if not gaussians:
        return rest
    smallest = min(gaussians)
    if smallest == 0.0 or gaussians == {smallest: 1}:
        return {**rest, Gaussian(smallest): 1}
    # Relative to the smallest sigma, so that no square overflows; with fsum the order of parts is irrelevant.
    total = math.fsum(count * (smallest / sigma) ** 2 for sigma, count in gaussians.items())
    return {**rest, Gaussian(smallest / math.sqrt(total)): 1}


def as_event(counts: Mapping[Event, int]) -> Event:
    """The multiset as one event, parts in a fixed order, so that equal multisets give equal events."""
    parts = [Repeat(count, part) if count != 1 else part for part, count in sorted(counts.items(), key=str)]
    return parts[0] if len(parts) == 1 else Composed(tuple(parts))


def _collect(event: Event, count: int, counts: dict[Event, int]) -> None:
    if count == 0:
        return
    match event:
        case Repeat():
            _require_countable(event, count * event.count)
            _collect(event.event, count * event.count, counts)
        case Composed():
            for part in event.events:
                _collect(part, count, counts)
        case PoissonSampled():
            _collect_sampled(event, count, counts)
        case _:
            part = _simplified(event)
            if part is not None:
                counts[part] = counts.get(part, 0) + count


def _collect_sampled(event: PoissonSampled, count: int, counts: dict[Event, int]) -> None:
    if event.q == 1.0:
        _collect(event.event, count, counts)
        return
    inner = normal_form(event.event) if event.q > 0.0 else {}
    if not inner:
        return
    inside, q = as_event(inner), event.q
    if isinstance(inside, PoissonSampled):
        # A sample of a sample is a sample; rounded up because a larger q never costs less.
        q, inside = min(1.0, math.nextafter(q * inside.q, 1.0)), inside.event
    part = PoissonSampled(q, inside)
    counts[part] = counts.get(part, 0) + count


def _simplified(event: Event) -> Event | None:
    match event:
        case PriorResponse(k, eps0):
            return RandomizedResponse(k, eps0) if k > 1 and eps0 > 0.0 else None
        case RandomizedResponse(_, eps0):
            return event if eps0 > 0.0 else None
        case PureDP(epsilon):
            return event if epsilon > 0.0 else None
        case ApproxDP(epsilon, delta) if delta == 0.0:
            return PureDP(epsilon) if epsilon > 0.0 else None
        case _:
            return event


def _require_countable(part: Event, count: int) -> None:
    if count > MAX_COUNT:
        check.integer(**{f"total count of {part!r}"[:120]: count}, at_most=MAX_COUNT)
