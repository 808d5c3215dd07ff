"""An event as the methods are asked about it: everything that is known before the first of them answers."""

from dataclasses import dataclass

from accountants.adjacency import Adjacency
from accountants.composition.disjoint_parts import branches
from accountants.composition.failures import Interval, revealing_mass, sampled_mass, split_failures
from accountants.composition.requirements import require_adjacency
from accountants.events import Event, floor_of, normal_form
from accountants.methods.method import Parts
from accountants.methods.pure import pure_epsilon

__all__ = ["Prepared", "prepared", "prepared_parts"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known about an event before a method is asked.

    Attributes:
        adjacency: neighbouring relation.
        distinct: number of different parts of its normal form.
        parts: those parts without failures, in an order that does not depend on the order of charges.
        failure: certified interval around the probability that an (epsilon, delta)-claim fails, which `parts` leave out.
        revealed: certified interval around the probability that a noiseless release shows a record; None without any.
        used: upper bound on the probability that the changed record is used at all.
        level: certified interval around the pure epsilon of `parts`, nats.
        below: one composition per place where the changed record can be, the worst of which bounds the cost from below;
            empty if the parts are asked about as they are.
        above: the same from above.
        certain: what is certainly released, which gives the lower end, where the parts may cost more than the event does.
    """

    adjacency: Adjacency
    distinct: int
    parts: Parts
    failure: Interval
    revealed: Interval | None
    used: float
    level: Interval
    below: "tuple[Prepared, ...]"
    above: "tuple[Prepared, ...]"
    certain: "Prepared | None"


def prepared(event: Event, adjacency: str) -> Prepared:
    """What is known about an event.

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        TypeError: `event` is no event.
        ValueError: the adjacency is unknown, or an event occurs too often.
    """
    relation = require_adjacency(event, adjacency)
    floor = floor_of(event)
    certain = None if floor is event else normal_form(floor, adjacency=relation)
    return prepared_parts(normal_form(event, adjacency=relation), relation, certain)


def prepared_parts(parts: Parts, adjacency: Adjacency, certain: Parts | None = None) -> Prepared:
    """The same for a normal form whose adjacency has been checked.

    Args:
        parts: as `events.normal_form` gives them.
        adjacency: neighbouring relation.
        certain: the normal form of what is certainly released, where the parts may cost more.
    """
    below, above = branches(parts, adjacency) or ((), ())
    # Sorted, so that the order of charges cannot change the last digit of a sum.
    kept, failure = split_failures(dict(sorted(parts.items(), key=str)))
    lower_branches = tuple(prepared_parts(branch, adjacency) for branch in below)
    return Prepared(
        adjacency=adjacency,
        distinct=len(parts),
        parts=kept,
        failure=failure,
        revealed=revealing_mass(parts),
        used=sampled_mass(kept),
        level=pure_epsilon(kept, adjacency),
        below=lower_branches,
        above=lower_branches if above is below else tuple(prepared_parts(branch, adjacency) for branch in above),
        certain=None if certain is None else prepared_parts(certain, adjacency),
    )
