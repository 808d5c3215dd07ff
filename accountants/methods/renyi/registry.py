"""The table of Rényi curves: one function per type of part that a normal form can hold."""

from functools import singledispatch

import numpy as np

from accountants.adjacency import Adjacency
from accountants.errors import UnsupportedEvent
from accountants.events import KINDS, Event, normal_form
from accountants.methods.method import Parts
from accountants.numerics.array_kinds import FloatArray


@singledispatch
def curve(event: Event, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    """Rényi divergence of one part of a normal form in the worse direction, or an upper bound on it.

    A new primitive registers its curve here: `@curve.register`.

    Args:
        event: a part as `events.normal_form` gives it; anything else is brought into normal form first.
        orders: > 1, shape (n,).
        adjacency: neighbouring relation; None where it is unknown, see `renyi`.

    Returns:
        Nats, shape (n,); infinite where there is no bound.

    Raises:
        UnsupportedEvent: no curve is known for the part or for an inner event, which is named.
    """
    parts = normal_form(event, adjacency=adjacency)
    if parts != {event: 1}:
        return total_curve(parts, orders, adjacency)
    # Whatever is brought into normal form needs no curve of its own.
    supported = ", ".join(
        sorted({kind.__name__ for kind in [*curve.registry, *KINDS.values()]} - {"object", type(event).__name__})
    )
    raise UnsupportedEvent(f"no Rényi curve for {event!r} ({type(event).__name__}); supported: {supported}")


def total_curve(parts: Parts, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    """Sum of the curves of the parts, each times its count; shape (n,)."""
    total = np.zeros_like(orders)
    with np.errstate(over="ignore"):
        for part, count in parts.items():
            total = total + count * curve(part, orders, adjacency)
    return total
