"""Events on disjoint parts of the records, as one event."""

from dataclasses import dataclass, field
from typing import ClassVar

from accountants.adjacency import Adjacency
from accountants.events.event import EVERY_ADJACENCY, Event, depth_above, require_event

__all__ = ["Parallel", "parallel"]


@dataclass(frozen=True, slots=True, repr=False)
class Parallel(Event):
    """Several events, each on a part of the records of its own; a record belongs to exactly one part.

    To which part a record belongs depends on nothing but the record. A record that is added or removed touches one part,
    so the dearest part counts. A record that is replaced may leave one part and enter another: the two dearest are
    composed, and the parameters of every part must also hold for a record that leaves or enters it.

    Attributes:
        events: the parts; may be empty.
    """

    events: tuple[Event, ...]
    _depth: int = field(init=False, compare=False)

    type_name: ClassVar[str] = "parallel"

    def __post_init__(self) -> None:
        """Check the parts."""
        if isinstance(self.events, Event):
            raise TypeError(f"events={self.events!r} must be a tuple of events")
        parts = tuple(self.events)
        for part in parts:
            require_event(event=part)
        object.__setattr__(self, "events", parts)
        object.__setattr__(self, "_depth", depth_above(*parts))

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """Those that every part is stated for."""
        return EVERY_ADJACENCY.intersection(*(part.adjacencies for part in self.events))

    @property
    def depth(self) -> int:
        """One more than that of the deepest part."""
        return self._depth

    def __repr__(self) -> str:
        """For example `parallel(gaussian(1), laplace(2) * 3)`."""
        return f"parallel({', '.join(map(repr, self.events))})"


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
