"""Parts that one record pays for, and what is known about them before a method is asked."""

from dataclasses import dataclass

from accountants.adjacency import Adjacency
from accountants.composition.failures import Interval, revealing_mass, sampled_mass, split_failures
from accountants.methods.method import Parts
from accountants.methods.pure import pure_epsilon


@dataclass(frozen=True, slots=True)
class KnownParts:
    """What is composed, and what is known about it.

    Attributes:
        adjacency: neighbouring relation.
        distinct: number of different parts.
        parts: those parts without failures, in an order that does not depend on the order of charges.
        failure: certified interval around the probability that an (epsilon, delta)-claim fails, which `parts` leave out.
        revealed: certified interval around the probability that a noiseless release shows a record; None without any.
        used: upper bound on the probability that the changed record is used at all.
        level: certified interval around the pure epsilon of `parts`, nats.
    """

    adjacency: Adjacency
    distinct: int
    parts: Parts
    failure: Interval
    revealed: Interval | None
    used: float
    level: Interval


def known_parts(parts: Parts, adjacency: Adjacency) -> KnownParts:
    """What is known about a normal form."""
    # Sorted, so that the order of charges cannot change the last digit of a sum.
    kept, failure = split_failures(dict(sorted(parts.items(), key=str)))
    return KnownParts(
        adjacency=adjacency,
        distinct=len(parts),
        parts=kept,
        failure=failure,
        revealed=revealing_mass(parts),
        used=sampled_mass(kept),
        level=pure_epsilon(kept, adjacency),
    )
