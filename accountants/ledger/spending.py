"""The growth of epsilon from charge to charge."""

from collections import Counter
from dataclasses import replace

from accountants import check
from accountants.bound import Bound
from accountants.composition.epsilon import epsilon as epsilon_of
from accountants.events import Composed, Event, Repeat, distinct
from accountants.ledger.ledger import Ledger
from accountants.ledger.view import delta_or_own

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
    used = delta_or_own(delta, ledger.delta)
    events = ledger.events
    if points is None:
        points = min(_MOST, max(_LEAST, _EFFORT // max(1, len(set(events)))))
    shown = {round(step * len(events) / (points - 1)) for step in range(points)}
    charged: Counter[Event] = Counter()
    certain: Counter[Event] = Counter()  # released in any case, where a charge is counted by more than that
    found = []
    for number in range(len(events) + 1):
        if number > 0:
            charged.update(distinct(events[number - 1], adjacency=ledger.adjacency))
            certain.update(distinct(events[number - 1].certain_part(), adjacency=ledger.adjacency))
        if number in shown:
            bound = epsilon_of(_composed(charged), used, adjacency=ledger.adjacency)
            if certain != charged:
                floor = epsilon_of(_composed(certain), used, adjacency=ledger.adjacency)
                bound = replace(bound, lower=min(floor.lower, bound.upper))
            found.append((number, bound))
    return tuple(found)


def _composed(counts: Counter[Event]) -> Event:
    return Composed(tuple(Repeat(count, part) for part, count in counts.items()))
