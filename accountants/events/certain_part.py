"""What an event certainly releases, where its normal form is only a bound."""

import math
from dataclasses import replace

from accountants.events.claims import PureDP
from accountants.events.disjoint_parts import Parallel
from accountants.events.event import Composed, Event, Repeat
from accountants.events.sampling import FixedSizeSampled, PoissonSampled, RandomAllocation, Shuffled
from accountants.events.selection import SparseVector
from accountants.events.voting import ConfidentGNMax, GNMax

__all__ = ["floor_of"]

_NOTHING = PureDP(0.0)
_UP = 1.0 + 2.0**-50


def floor_of(event: Event) -> Event:
    """The event without the parts whose normal form may cost more than they do; the event itself if there is none.

    Whoever sees the event can forget those parts, so a lower end of the floor is one of the event. Shuffled batches and
    sparse vectors are forgotten, and of Confident-GNMax the threshold tests, which publish one bit each; its answers
    become one GNMax of less noise.

    Example:
        >>> from accountants.events.gaussian import Gaussian
        >>> floor_of(Gaussian(2) + Gaussian(1).shuffled(10, 100))
        gaussian(2) + pure_dp(0)
        >>> round(floor_of(ConfidentGNMax(200, 150, 40, checked=9, answered=4)).sigma, 6)
        20.0
    """
    match event:
        case Shuffled() | SparseVector():
            return _NOTHING
        case ConfidentGNMax(_, _, sigma2, _, answered):
            return GNMax(sigma2 / math.sqrt(answered) * _UP) if answered else _NOTHING
        case Composed() | Parallel():
            floors = tuple(floor_of(part) for part in event.events)
            is_same = all(floor is part for floor, part in zip(floors, event.events, strict=True))
            return event if is_same else type(event)(floors)
        case Repeat() | PoissonSampled() | FixedSizeSampled() | RandomAllocation():
            floor = floor_of(event.event)
            return event if floor is event.event else replace(event, event=floor)
        case _:
            return event
