"""Normal form: the same cost, written as a multiset of distinct events.

Accountants work on the normal form, so their cost depends on the number of distinct events, never on the
counts.
"""

import math
import sys
from collections.abc import Mapping
from fractions import Fraction

from accountants import check
from accountants.adjacency import Adjacency
from accountants.events.claims import GDP, ZCDP, ApproxDP, PureDP
from accountants.events.correlated import MatrixFactorization, TreeAggregation
from accountants.events.disjoint_parts import Parallel
from accountants.events.event import MAX_COUNT, Composed, Event, Repeat
from accountants.events.gaussian import DiscreteGaussian, Gaussian
from accountants.events.laplace import Laplace
from accountants.events.person_groups import GroupSampledGaussian
from accountants.events.response import PriorResponse, RandomizedResponse, SubsetResponse
from accountants.events.sampling import FixedSizeSampled, PoissonSampled, RandomAllocation, Shuffled
from accountants.events.selection import Exponential, SparseVector
from accountants.events.voting import ConfidentGNMax, GNMax, LNMax

__all__ = ["as_event", "distinct", "merge_gaussians", "normal_form"]

_NO_PRIVACY = Gaussian(0.0)


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
        >>> normal_form(Gaussian(2) * 4 + RandomizedResponse(3, 0.5) * 2 + RandomizedResponse(3, 0.5))
        {krr(k=3, eps0=0.5): 3, gaussian(1): 1}
    """
    return merge_gaussians(distinct(event, adjacency=adjacency))


def distinct(event: Event, *, adjacency: Adjacency | None = None) -> dict[Event, int]:
    """Like `normal_form`, but Gaussians (and GNMax) stay apart; sums of such multisets stay exact.

    Raises:
        ValueError: a total count exceeds 10^15.
    """
    counts: dict[Event, int] = {}
    _Collector(counts, adjacency).collect(event, 1)
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


class _Collector:
    """Walks over an event and adds what it finds to a multiset."""

    def __init__(self, counts: dict[Event, int], adjacency: Adjacency | None) -> None:
        self.counts = counts
        self.adjacency = adjacency

    def collect(self, event: Event, count: int) -> None:
        """Add the event `count` times."""
        if count == 0:
            return
        match event:
            case Repeat():
                self.repeat(event.event, count * event.count)
            case Composed():
                for part in event.events:
                    self.collect(part, count)
            case PoissonSampled():
                self.poisson(event, count)
            case FixedSizeSampled():
                self.fixed_size(event, count)
            case Shuffled():
                self.repeat(event.event, count * event.epochs)
            case RandomAllocation():
                self.allocation(event, count)
            case Parallel():
                self.parallel(event, count)
            case GroupSampledGaussian():
                self.group(event, count)
            case TreeAggregation():
                # All nodes above a leaf, exactly: no rounding of a square root.
                self.repeat(Gaussian(event.sigma), count * event.restarts * event.nodes_per_leaf)
            case ConfidentGNMax():
                self.repeat(Gaussian(event.sigma1), count * event.checked)
                self.repeat(GNMax(event.sigma2), count * event.answered)
            case LNMax():
                self.repeat(Laplace(event.scale), count * 2)
            case _:
                part = _simplified(event)
                if part is not None:
                    self.add(part, count)

    def add(self, part: Event, count: int) -> None:
        """Add a simplified part."""
        self.counts[part] = self.counts.get(part, 0) + count

    def repeat(self, event: Event, count: int) -> None:
        """Add the event `count` times, a count that may have grown too large."""
        _require_countable(event, count)
        self.collect(event, count)

    def poisson(self, event: PoissonSampled, count: int) -> None:
        """Add a Poisson sample; what is inside is stated for adding or removing a record, under every adjacency."""
        present_or_not = self.adjacency in (Adjacency.ADD_REMOVE, Adjacency.ZERO_OUT)
        if event.q == 1.0 and present_or_not:
            self.collect(event.event, count)
            return
        inner = normal_form(event.event, adjacency=self.adjacency if present_or_not else None) if event.q > 0.0 else {}
        if not inner:
            return
        inside, q = as_event(inner), event.q
        if isinstance(inside, PoissonSampled):
            # A sample of a sample is a sample; rounded up because a larger q never costs less.
            exact = 1.0 in (q, inside.q)
            q = q * inside.q if exact else min(1.0, math.nextafter(q * inside.q, 1.0))
            inside = inside.event
        if q == 1.0 and self.adjacency is Adjacency.REPLACE_ONE and isinstance(inside, Gaussian):
            self.add(Gaussian(0.5 * inside.sigma), count)  # from one end of the unit ball to the other
        else:
            self.add(PoissonSampled(q, inside), count)

    def fixed_size(self, event: FixedSizeSampled, count: int) -> None:
        """Add a sample of fixed size."""
        if event.m == event.n:
            self.collect(event.event, count)
            return
        inner = normal_form(event.event, adjacency=self.adjacency) if event.m > 0 else {}
        if inner:
            self.add(FixedSizeSampled(event.m, event.n, as_event(inner)), count)

    def allocation(self, event: RandomAllocation, count: int) -> None:
        """Add randomly allocated rounds, one epoch at a time."""
        count *= event.epochs
        _require_countable(event, count)
        if event.selected == event.steps:
            self.repeat(event.event, count * event.steps)
            return
        inner = normal_form(event.event, adjacency=self.adjacency) if event.selected > 0 else {}
        if not inner or count == 0:
            return
        inside = as_event(inner)
        self.add(
            _NO_PRIVACY if inside == _NO_PRIVACY else RandomAllocation(event.steps, event.selected, 1, inside), count
        )

    def group(self, event: GroupSampledGaussian, count: int) -> None:
        """Add a sample of the records of one person; a person with one record, or none or all in the batch, is simple."""
        if event.size == 1:
            self.collect(PoissonSampled(event.q, Gaussian(event.sigma)), count)
        elif event.q == 1.0:
            self.add(Gaussian(_rounded_down(Fraction(event.sigma) / event.size)), count)
        elif event.q > 0.0:
            self.add(event, count)

    def parallel(self, event: Parallel, count: int) -> None:
        """Add parallel parts: the dearest one, or the two dearest under replace-one, where they are known."""
        touched = {None: None, Adjacency.REPLACE_ONE: 2}.get(self.adjacency, 1)
        inner = [normal_form(part, adjacency=self.adjacency) for part in event.events]
        parts = [as_event(one) for one in inner if one]
        gaussians = [part for part in parts if isinstance(part, Gaussian)]
        if touched is not None and len(gaussians) == len(parts):
            for part in sorted(gaussians, key=lambda one: one.sigma)[:touched]:
                self.collect(part, count)
        elif len(parts) == 1:
            self.collect(parts[0], count)
        elif touched is not None and len(set(parts)) == 1:
            self.repeat(parts[0], count * touched)
        elif parts:
            self.add(Parallel(tuple(sorted(parts, key=str))), count)


def _simplified(event: Event) -> Event | None:
    """A primitive event in its simplest form, None if it is free; the cost is kept or rounded up."""
    match event:
        case PriorResponse(k, eps0):
            return RandomizedResponse(k, eps0) if k > 1 and eps0 > 0.0 else None
        case RandomizedResponse(_, eps0):
            return event if eps0 > 0.0 else None
        case SubsetResponse(k, d, eps0):
            if d == 1:
                return _simplified(RandomizedResponse(k, eps0))
            return event if d < k and eps0 > 0.0 else None
        case PureDP(epsilon):
            return event if epsilon > 0.0 else None
        case ApproxDP(epsilon, delta) if delta == 0.0:
            return PureDP(epsilon) if epsilon > 0.0 else None
        case Exponential(epsilon, kind):
            return None if epsilon == 0.0 else PureDP(epsilon) if kind == "pure" else event
        case SparseVector():
            return _pure(Fraction(1 + 2 * event.cutoff) / Fraction(event.scale))
        case MatrixFactorization():
            return Gaussian(_rounded_down(Fraction(event.sigma) / Fraction(event.sensitivity)))
        case GDP(mu):
            return Gaussian(_rounded_down(1 / Fraction(mu))) if mu > 0.0 else None
        case ZCDP(rho, xi):
            return event if rho > 0.0 or xi > 0.0 else None
        case DiscreteGaussian(sigma, _):
            return event if sigma > 0.0 else _NO_PRIVACY
        case GNMax(sigma):
            return GNMax(sigma)  # without the votes
        case _:
            return event


def _pure(epsilon: Fraction) -> Event:
    """The pure claim, rounded up; no privacy if no float is large enough."""
    if epsilon > Fraction(sys.float_info.max):
        return _NO_PRIVACY
    nearest = float(epsilon)
    return PureDP(nearest if nearest >= epsilon else math.nextafter(nearest, math.inf))


def _rounded_down(sigma: Fraction) -> float:
    nearest = float(min(sigma, Fraction(sys.float_info.max)))
    return nearest if nearest <= sigma else math.nextafter(nearest, 0.0)


def _require_countable(part: Event, count: int) -> None:
    if count > MAX_COUNT:
        check.integer(**{f"total count of {part!r}"[:120]: count}, at_most=MAX_COUNT)
