"""Rényi curves of whole events.

A new mechanism adds data and registers the curve of its part (`accountants.methods.renyi.registry`); no accountant has to change.
"""

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.adjacency import Adjacency
from accountants.events import Event, Parallel, normal_form
from accountants.events.event import require_event
from accountants.methods.renyi import additive, allocation, amplified, claims, response_curves
from accountants.methods.renyi.registry import curve, total_curve
from accountants.numerics.array_kinds import FloatArray

FAMILIES = (additive, response_curves, claims, amplified, allocation)  # importing them registers their curves


def renyi(event: Event, alpha: float | ArrayLike, *, adjacency: str | None = None) -> FloatArray:
    """Rényi divergence of an event in the worse direction; upper bound where no closed form is known.

    Args:
        event: any event whose parts have curves.
        alpha: orders, > 1, any shape.
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out". None charges parallel parts so
            that every relation is covered, and takes Poisson samples under add-remove (or zero-out).

    Returns:
        Divergence in nats, shape of `alpha`; infinite where there is none.

    Raises:
        UnsupportedEvent: no curve is known for a part or for an inner event, which is named.
        TypeError: `event` is no event, or `alpha` no numbers.
        ValueError: an order is infinite or not above 1, or the adjacency is unknown.

    Example:
        >>> from accountants.events import RandomizedResponse
        >>> renyi(RandomizedResponse(k=10, eps0=1), [2, 8, 64]).round(6)
        array([0.29613 , 0.791647, 0.976807])
    """
    require_event(event=event)
    try:
        orders = np.asarray(alpha, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"{check.given('alpha', alpha)} must be a number or an array of numbers > 1") from None
    if not np.all((orders > 1.0) & np.isfinite(orders)):
        raise ValueError(f"{check.given('alpha', alpha)} must be finite orders > 1")
    relation = None if adjacency is None else Adjacency(adjacency)
    total = total_curve(normal_form(event, adjacency=relation), orders.ravel(), relation)
    return np.asarray(total.reshape(orders.shape))


@curve.register
def _(event: Parallel, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    parts = [total_curve(normal_form(part, adjacency=adjacency), orders, adjacency) for part in event.events]
    touched = 1 if adjacency in (Adjacency.ADD_REMOVE, Adjacency.ZERO_OUT) else 2
    return np.sort(parts, axis=0)[-touched:].sum(axis=0)
