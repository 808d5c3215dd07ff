"""How epsilon grew from charge to charge."""

from dataclasses import replace

from accountants import check
from accountants.bound import Bound
from accountants.composition.epsilon import epsilon as epsilon_of
from accountants.events import Composed, Event, Repeat, distinct
from accountants.ledger.ledger import Ledger

__all__ = ["spending"]

_MOST, _LEAST = 60, 12  # points
_EFFORT = 3000  # points times different events; some seconds


def spending(ledger: Ledger, delta: float | None = None, *, points: int | None = None) -> tuple[tuple[int, Bound], ...]:
    """Certified epsilon of the first charges of a ledger, for growing numbers of them.

    Args:
        ledger: as read or as built.
        delta: failure mass, in [0, 1); the ledger's own by default.
        points: at most as many, evenly spread, the last charge always among them; >= 2. By default 60, and down to 12
            where hundreds of different events make every one of them slow.

    Returns:
        Pairs of (number of charges, bound in nats), beginning with no charge.

    Raises:
        ValueError: no delta is known, or an argument is out of range.

    Example:
        >>> from accountants.events import Gaussian
        >>> ledger = Ledger(adjacency="add-remove", delta=1e-5)
        >>> charges = [ledger.charge(Gaussian(sigma=5)) for _ in range(2)]
        >>> [(charges, str(bound)) for charges, bound in spending(ledger)]
        [(0, '[0, 0] (pure)'), (1, '[0.72552, 0.72553] (gaussian)'), (2, '[1.0607, 1.0608] (gaussian)')]
    """
    if points is not None:
        check.integer(points=points, at_least=2)
    used = ledger.delta if delta is None else delta
    if used is None:
        raise ValueError("delta=None: this ledger has no delta of its own; pass one, for example 1e-5")
    events = ledger.events
    if points is None:
        points = min(_MOST, max(_LEAST, _EFFORT // max(1, len(set(events)))))
    shown = {round(step * len(events) / (points - 1)) for step in range(points)}
    charges, floors = _Total(ledger), _Total(ledger)
    found = []
    for charged in range(len(events) + 1):
        if charged > 0:
            charges.add(events[charged - 1])
            floors.add(events[charged - 1].certain_part())
        if charged in shown:
            bound = epsilon_of(charges.event, used, adjacency=ledger.adjacency)
            if floors.counts != charges.counts:
                certain = epsilon_of(floors.event, used, adjacency=ledger.adjacency)
                bound = replace(bound, lower=min(certain.lower, bound.upper))
            found.append((charged, bound))
    return tuple(found)


class _Total:
    """Charges so far, equal ones together."""

    def __init__(self, ledger: Ledger) -> None:
        self.counts: dict[Event, int] = {}
        self._adjacency = ledger.adjacency

    def add(self, event: Event) -> None:
        for part, count in distinct(event, adjacency=self._adjacency).items():
            self.counts[part] = self.counts.get(part, 0) + count

    @property
    def event(self) -> Event:
        return Composed(tuple(Repeat(count, part) for part, count in self.counts.items()))
