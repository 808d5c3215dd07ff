"""The dominating pair of an event, by event type, neighbouring relation and direction."""

from typing import Literal

from accountants.adjacency import Adjacency
from accountants.errors import UnsupportedEvent
from accountants.events.claims import GDP, PureDP
from accountants.events.event import Event
from accountants.events.gaussian import DiscreteGaussian, Gaussian
from accountants.events.laplace import DiscreteLaplace, Laplace
from accountants.events.person_groups import GroupSampledGaussian
from accountants.events.response import PriorResponse, RandomizedResponse, SubsetResponse
from accountants.events.sampling import FixedSizeSampled, PoissonSampled
from accountants.events.selection import Exponential
from accountants.methods.lattice.pairs.atomic import (
    DiscreteGaussianPair,
    DiscreteLaplacePair,
    response_pair,
    subset_pair,
)
from accountants.methods.lattice.pairs.gaussian_pairs import AntipodalPair, GaussianPair, GroupPair
from accountants.methods.lattice.pairs.laplace import LaplacePair
from accountants.methods.lattice.pairs.pair import Pair
from accountants.methods.lattice.pairs.sampled import SampledPair, SymmetrizedPair

Direction = Literal["remove", "add"]
_LARGEST_GROUP = 100  # the work of its pair grows in proportion
DIRECTIONS: tuple[Direction, ...] = ("remove", "add")


def pair_of(event: Event, adjacency: Adjacency, direction: Direction) -> Pair:
    """A pair whose hockey-stick curve bounds that of every pair of neighbours, at every gamma >= 0.

    Args:
        event: one release.
        adjacency: neighbouring relation.
        direction: "remove" puts the data set with the record first, "add" second; the same for symmetric pairs.

    Returns:
        The pair; it may be used in compositions with any other pairs of the same direction.

    Raises:
        UnsupportedEvent: no pair is known, or the event reveals everything or nothing at all.

    Example:
        >>> pair_of(Laplace(scale=2.0), Adjacency.ADD_REMOVE, "remove")
        LaplacePair(eps0=0.5)
    """
    pair = _pair(event, adjacency) if adjacency in event.adjacencies else None
    if pair is None:
        raise UnsupportedEvent(f"no dominating pair is known for {event!r} under {adjacency}; use method='renyi'")
    return pair if direction == "remove" else pair.reverse()


def attained_pair_of(event: Event, adjacency: Adjacency, direction: Direction) -> Pair:
    """The pair of two outputs that some mechanism covered by the event, on some neighbours, really has.

    It is for lower bounds, and the same as `pair_of` wherever that one is attained. Arguments and errors are the same, too.

    Example:
        >>> attained_pair_of(PureDP(1.0), Adjacency.ADD_REMOVE, "add").range_under_p(0.0, 0.0)
        (-1.0, 1.0)
    """
    if isinstance(event, Exponential) and event.kind == "bounded-range" and event.epsilon > 0.0:
        # Two answers whose losses are +epsilon/2 and -epsilon/2 have range epsilon.
        return response_pair(2, 0.5 * event.epsilon)
    if isinstance(event, PoissonSampled) and isinstance(event.event, Exponential) and 0.0 < event.q < 1.0:
        pair_of(event, adjacency, direction)  # refuses what it does not know
        attained = SampledPair(attained_pair_of(event.event, adjacency, "remove"), event.q)
        return attained if direction == "remove" else attained.reverse()
    if isinstance(event, FixedSizeSampled):
        dominating = pair_of(event, adjacency, direction)
        if isinstance(dominating, SymmetrizedPair):
            # All other records equal the replaced one's new value: a batch without it is a batch of Q0.
            attained = SampledPair(attained_pair_of(event.event, adjacency, "remove"), event.m / event.n)
            return attained if direction == "remove" else attained.reverse()
    return pair_of(event, adjacency, direction)


def _symmetric_pair(event: Event) -> Pair | None:
    """The pair of an event without sampling; all of these are symmetric, which the sampled ones rely on."""
    match event:
        case Gaussian(sigma) if sigma > 0.0:
            return GaussianPair(sigma)
        case GDP(mu) if mu > 0.0:
            return GaussianPair(1.0 / mu)
        case Laplace(scale):
            return LaplacePair(1.0 / scale)
        case DiscreteGaussian(sigma, sensitivity) if sigma > 0.0:
            return DiscreteGaussianPair(sigma, sensitivity)
        case DiscreteLaplace(rate, sensitivity):
            return DiscreteLaplacePair(rate, sensitivity)
        case RandomizedResponse(k, eps0) | PriorResponse(k, eps0) if k > 1 and eps0 > 0.0:
            return response_pair(k, eps0)
        case SubsetResponse(k, d, eps0) if d < k and eps0 > 0.0:
            return subset_pair(k, d, eps0)
        case PureDP(epsilon) | Exponential(epsilon, _) if epsilon > 0.0:
            # A bounded range has no single worst pair under adaptive composition; binary response dominates all of them.
            return response_pair(2, epsilon)
        case _:
            return None


def _pair(event: Event, adjacency: Adjacency) -> Pair | None:
    match event:
        case PoissonSampled(q, inner):
            if not 0.0 < q < 1.0:
                return None
            if adjacency is Adjacency.REPLACE_ONE:
                return AntipodalPair(inner.sigma, q) if isinstance(inner, Gaussian) and inner.sigma > 0.0 else None
            base = _symmetric_pair(inner)
            return None if base is None else SampledPair(base, q)
        case FixedSizeSampled(m, n, inner):
            base = _symmetric_pair(inner) if m > 0 else None
            return base if base is None or m == n else SymmetrizedPair(SampledPair(base, m / n))
        case GroupSampledGaussian():
            return _group_pair(event)
        case _:
            return _symmetric_pair(event)


def _group_pair(event: GroupSampledGaussian) -> Pair | None:
    if event.sigma == 0.0 or not 0.0 < event.q <= 1.0 or event.size > _LARGEST_GROUP:
        return None
    if event.q == 1.0:
        return GaussianPair(event.sigma / event.size)
    if event.size == 1:
        return SampledPair(GaussianPair(event.sigma), event.q)
    return GroupPair(event.sigma, event.q, event.size)
