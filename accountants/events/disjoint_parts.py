"""Events on disjoint parts of the records, as one event."""

from accountants.adjacency import Adjacency
from accountants.events.combinators import SeveralInside
from accountants.events.event import Event, Parts
from accountants.events.gaussian import Gaussian
from accountants.events.normal_form import as_event, normal_form
from accountants.events.registry import event


@event("parallel")
class Parallel(SeveralInside):
    """Several events, each on a part of the records of its own; a record belongs to exactly one part.

    To which part a record belongs depends on nothing but the record. A record that is added or removed touches one part,
    so the part that costs most counts. A record that is replaced may leave one part and enter another: the two that cost
    most are composed, and the parameters of every part must also hold for a record that leaves or enters it.

    Attributes:
        events: the parts; may be empty.
    """

    events: tuple[Event, ...]

    def __repr__(self) -> str:
        """For example `parallel(gaussian(1), laplace(2) * 3)`."""
        return f"parallel({', '.join(map(repr, self.events))})"

    def simplify(self, count: int, parts: Parts) -> None:
        # The part that costs most counts, or the two that cost most under replace-one, where it is known which these are.
        touched = {None: None, Adjacency.REPLACE_ONE: 2}.get(parts.adjacency, 1)
        forms = [normal_form(part, adjacency=parts.adjacency) for part in self.events]
        inside = [as_event(form) for form in forms if form]
        sigmas = sorted(part.sigma for part in inside if isinstance(part, Gaussian))
        if touched is not None and len(sigmas) == len(inside):
            for sigma in sigmas[:touched]:
                parts.collect(Gaussian(sigma), count)
        elif len(inside) == 1:
            parts.collect(inside[0], count)
        elif touched is not None and len(set(inside)) == 1:
            parts.collect(inside[0], count * touched)
        elif inside:
            parts.add(Parallel(tuple(sorted(inside, key=str))), count)


def parallel(*events: Event) -> Parallel:
    """The events on disjoint parts of the records; see `Parallel`.

    Raises:
        TypeError: an argument is no event.

    Example:
        >>> from accountants.events.gaussian import Gaussian
        >>> parallel(Gaussian(1), Gaussian(2))
        parallel(gaussian(1), gaussian(2))
    """
    return Parallel(events)
