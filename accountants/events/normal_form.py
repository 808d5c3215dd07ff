"""Normal form: the same cost, written as a multiset of distinct events.

Accountants work on the normal form, so their cost depends on the number of distinct events, never on the
counts. What an event consists of is said by its class, in `simplify`.
"""

import math
from collections.abc import Mapping

from accountants.adjacency import Adjacency
from accountants.events.combinators import Composed, Repeat
from accountants.events.event import Event, Parts, require_countable
from accountants.events.gaussian import Gaussian
from accountants.events.voting import GNMax


def normal_form(event: Event, *, adjacency: Adjacency | None = None) -> dict[Event, int]:
    """The event as distinct, simplified parts and how often each occurs.

    Flattens compositions, pushes counts through, merges equal parts, drops what is free, writes votes, trees,
    factorizations and GDP claims as Gaussians and merges all un-sampled Gaussians into one (whose sigma carries a
    relative rounding error below 1e-15). Every simplification keeps the cost or rounds it up.

    Args:
        event: anything.
        adjacency: neighbouring relation. None leaves alone what simplifies differently under different relations: a
            Poisson sample with q = 1, and parallel parts.

    Returns:
        Part -> count, counts >= 1; empty for an event that costs nothing.

    Raises:
        ValueError: a total count exceeds 10^15.

    Example:
        >>> from accountants.events.response import RandomizedResponse
        >>> normal_form(Gaussian(2) * 4 + RandomizedResponse(3, 0.5) * 2 + RandomizedResponse(3, 0.5))
        {krr(k=3, eps0=0.5): 3, gaussian(1): 1}
    """
    return merge_gaussians(distinct(event, adjacency=adjacency))


def distinct(event: Event, *, adjacency: Adjacency | None = None) -> dict[Event, int]:
    """Like `normal_form`, but Gaussians (and GNMax) stay apart; sums of such multisets stay exact.

    Raises:
        ValueError: a total count exceeds 10^15.
    """
    parts = Parts(adjacency)
    parts.collect(event, 1)
    for part, count in parts.counts.items():
        require_countable(part, count)
    return parts.counts


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
