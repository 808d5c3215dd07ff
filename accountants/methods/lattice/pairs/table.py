"""The dominating pair of an event, by event type, neighbouring relation and direction."""

from collections.abc import Callable
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
from accountants.methods.lattice.pairs.gaussian import AntipodalPair, GaussianPair, GroupPair
from accountants.methods.lattice.pairs.laplace import LaplacePair
from accountants.methods.lattice.pairs.pair import Pair
from accountants.methods.lattice.pairs.sampled import SampledPair, SymmetrizedPair

__all__ = ["DIRECTIONS", "Direction", "attained_pair_of", "pair_of"]

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
    build = _PAIRS.get(type(event))
    pair = build(event, adjacency) if build is not None and adjacency in event.adjacencies else None
    if pair is None:
        raise UnsupportedEvent(f"no dominating pair is known for {event!r} under {adjacency}; use method='renyi'")
    return pair if direction == "remove" else pair.reverse()


def attained_pair_of(event: Event, adjacency: Adjacency, direction: Direction) -> Pair:
    """The pair of two outputs that some mechanism covered by the event, on some neighbours, really has.

    Args:
        event: one release.
        adjacency: neighbouring relation.
        direction: as for `pair_of`.

    Returns:
        A pair for lower bounds; the same as `pair_of` wherever that one is attained.

    Raises:
        UnsupportedEvent: as for `pair_of`.

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


def _gaussian(event: Gaussian, adjacency: Adjacency) -> Pair | None:
    return GaussianPair(event.sigma) if event.sigma > 0.0 else None


def _gdp(event: GDP, adjacency: Adjacency) -> Pair | None:
    return GaussianPair(1.0 / event.mu) if event.mu > 0.0 else None


def _laplace(event: Laplace, adjacency: Adjacency) -> Pair | None:
    return LaplacePair(1.0 / event.scale)


def _discrete_gaussian(event: DiscreteGaussian, adjacency: Adjacency) -> Pair | None:
    return DiscreteGaussianPair(event.sigma, event.sensitivity) if event.sigma > 0.0 else None


def _discrete_laplace(event: DiscreteLaplace, adjacency: Adjacency) -> Pair | None:
    return DiscreteLaplacePair(event.rate, event.sensitivity)


def _response(event: RandomizedResponse | PriorResponse, adjacency: Adjacency) -> Pair | None:
    return response_pair(event.k, event.eps0) if event.k > 1 and event.eps0 > 0.0 else None


def _subset(event: SubsetResponse, adjacency: Adjacency) -> Pair | None:
    return subset_pair(event.k, event.d, event.eps0) if event.d < event.k and event.eps0 > 0.0 else None


def _pure(event: PureDP | Exponential, adjacency: Adjacency) -> Pair | None:
    # A bounded range has no single worst pair under adaptive composition; binary response dominates all of them.
    return response_pair(2, event.epsilon) if event.epsilon > 0.0 else None


def _poisson(event: PoissonSampled, adjacency: Adjacency) -> Pair | None:
    inner = event.event
    if type(inner) not in _UNSAMPLED or not 0.0 < event.q < 1.0:
        return None
    if adjacency is Adjacency.REPLACE_ONE:
        if not isinstance(inner, Gaussian) or inner.sigma == 0.0:
            return None
        return AntipodalPair(inner.sigma, event.q)
    base = _UNSAMPLED[type(inner)](inner, adjacency)
    return SampledPair(base, event.q) if base is not None else None


def _fixed_size(event: FixedSizeSampled, adjacency: Adjacency) -> Pair | None:
    inner = event.event
    if type(inner) not in _UNSAMPLED or event.m == 0:
        return None
    base = _UNSAMPLED[type(inner)](inner, adjacency)
    if base is None or event.m == event.n:
        return base
    return SymmetrizedPair(SampledPair(base, event.m / event.n))


def _group(event: GroupSampledGaussian, adjacency: Adjacency) -> Pair | None:
    if event.sigma == 0.0 or not 0.0 < event.q <= 1.0 or event.size > _LARGEST_GROUP:
        return None
    if event.q == 1.0:
        return GaussianPair(event.sigma / event.size)
    if event.size == 1:
        return SampledPair(GaussianPair(event.sigma), event.q)
    return GroupPair(event.sigma, event.q, event.size)


# All of these pairs are symmetric, which the sampled ones below rely on.
_UNSAMPLED: dict[type[Event], Callable[..., Pair | None]] = {
    Gaussian: _gaussian,
    GDP: _gdp,
    Laplace: _laplace,
    DiscreteGaussian: _discrete_gaussian,
    DiscreteLaplace: _discrete_laplace,
    RandomizedResponse: _response,
    PriorResponse: _response,
    SubsetResponse: _subset,
    PureDP: _pure,
    Exponential: _pure,
}
_PAIRS: dict[type[Event], Callable[..., Pair | None]] = {
    **_UNSAMPLED,
    PoissonSampled: _poisson,
    FixedSizeSampled: _fixed_size,
    GroupSampledGaussian: _group,
}
