"""An event as the methods are asked about it: everything that is known before the first of them answers."""

from dataclasses import dataclass

from accountants.adjacency import Adjacency
from accountants.composition.disjoint_parts import taken_apart
from accountants.composition.known_parts import KnownParts, known_parts
from accountants.composition.requirements import require_adjacency
from accountants.events import Event, normal_form
from accountants.methods.method import Parts


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event as compositions; several where its parts are disjoint, one per place where the changed record can be.

    Attributes:
        above: the worst of them bounds the cost from above.
        below: the worst of them bounds it from below: what is certainly released, where the event may cost less than its
            parts. The same object as `above` where one bound serves both ends.
        is_certain: whether `below` is what is certainly released: another event, which the method that was named need not take.
    """

    above: tuple[KnownParts, ...]
    below: tuple[KnownParts, ...]
    is_certain: bool = False


def prepared(event: Event, adjacency: str) -> Prepared:
    """The event as compositions.

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        TypeError: `event` is no event.
        ValueError: the adjacency is unknown, or an event occurs too often.
    """
    relation = require_adjacency(event, adjacency)
    floor = event.certain_part()
    parts = normal_form(event, adjacency=relation)
    certain = None if floor is event else normal_form(floor, adjacency=relation)
    return prepared_parts(parts, relation, certain)


def prepared_parts(parts: Parts, adjacency: Adjacency, certain: Parts | None = None) -> Prepared:
    """A normal form, whose adjacency has been checked, as compositions.

    Args:
        parts: as `events.normal_form` gives them.
        adjacency: neighbouring relation.
        certain: the normal form of what is certainly released, where the parts may cost more.
    """
    below, above = taken_apart(parts, adjacency)
    if certain is not None:
        below, _ = taken_apart(certain, adjacency)
    known_above = tuple(known_parts(place, adjacency) for place in above)
    if below is above:
        return Prepared(known_above, known_above)
    return Prepared(known_above, tuple(known_parts(place, adjacency) for place in below), certain is not None)
