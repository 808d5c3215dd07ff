"""Which events can be accounted for at all: the adjacency that they are stated for, and some accountant that bounds them."""

from accountants.adjacency import Adjacency
from accountants.composition.disjoint_parts import taken_apart
from accountants.composition.failures import split_failures
from accountants.composition.table import tight_methods
from accountants.errors import AdjacencyError
from accountants.events import Event, FixedSizeSampled, RandomAllocation, Shuffled
from accountants.events.event import require_event
from accountants.methods.method import Parts
from accountants.methods.renyi.renyi import renyi


def require_adjacency(event: Event, adjacency: str) -> Adjacency:
    """The parsed adjacency, if every part of the event is stated for it.

    Raises:
        AdjacencyError: a part is not; the message says which adjacency to pass.
        TypeError: `event` is no event.
        ValueError: the adjacency is unknown.
    """
    require_event(event=event)
    relation = Adjacency(adjacency)
    if relation in event.adjacencies:
        return relation
    fitting = [repr(str(other)) for other in Adjacency if other in event.adjacencies]
    advice = f"pass adjacency={' or '.join(fitting)}" if fitting else "no adjacency fits all parts: account them apart"
    # The innermost part that is responsible, which tells most.
    part, inner = event, event
    while inner is not None:
        part = inner
        inside = getattr(part, "events", None) or (getattr(part, "event", None),)
        inner = next((deeper for deeper in inside if deeper is not None and relation not in deeper.adjacencies), None)
    if isinstance(part, FixedSizeSampled | Shuffled | RandomAllocation):
        advice += "; batches drawn by Poisson sampling are stated for every adjacency"
    raise AdjacencyError(f"{part!r} is not stated for adjacency={str(relation)!r}; {advice}")


def require_bounded(parts: Parts, adjacency: Adjacency) -> None:
    """Refuse events that no accountant can bound, at whatever delta.

    Raises:
        UnsupportedEvent: a part has neither a dominating pair nor a Rényi curve under this adjacency; it is named.
    """
    for part in split_failures(parts)[0]:
        _, places = taken_apart({part: 1}, adjacency)
        if places != [{part: 1}]:
            for place in places:
                require_bounded(place, adjacency)
        elif all(method.unsupported_part({part: 1}, adjacency) is not None for method in tight_methods()):
            renyi(part, 2.0, adjacency=str(adjacency))
