"""From a total Rényi curve to (epsilon, delta), at the order that is best for the question asked.

Every order gives a valid bound, so the search can only cost tightness, never validity.
Source: Canonne, Kamath, Steinke 2020 (optimal conversion of one order); Bretagnolle, Huber 1979 (variation).
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from accountants.adjacency import Adjacency
from accountants.events import RDP, Event
from accountants.methods.method import Answer, Method, Parts, one_by_one
from accountants.methods.renyi.registry import total_curve
from accountants.methods.renyi.renyi import renyi
from accountants.numerics.array_kinds import FloatArray

_SLACK = 1e-12  # relative, covers the rounding of curves, sums and conversion
_SMALLEST = 1e-300  # nothing that costs anything costs less, squares may have underflowed
_GRID = np.geomspace(1e-4, 1e7, 67)  # order - 1; a sixth of a decade apart
_REFINEMENTS = 5  # finer grids between the neighbours of the best order so far
_FINER = 11  # orders in each of them


def rdp_epsilon(parts: Parts, delta: float, adjacency: Adjacency | None = None) -> tuple[float, float]:
    """Upper bound on epsilon from the summed Rényi curves.

    Args:
        parts: event -> count; every event needs a Rényi curve.
        delta: failure mass, in (0, 1).
        adjacency: neighbouring relation, where the curve of a part depends on it.

    Returns:
        (epsilon, order): epsilon in nats, infinite if the curve is; the order, > 1, that gave it.

    Raises:
        UnsupportedEvent: an event has no curve; it is named.

    Example:
        >>> from accountants.events import GNMax
        >>> epsilon, order = rdp_epsilon({GNMax(52.8): 100}, 1e-5)
        >>> round(epsilon, 3)
        1.091
    """
    log_delta = math.log(delta)
    return _best(parts, adjacency, lambda above, curve: _epsilon_at(above, curve, log_delta))


def quick_rdp_epsilon(parts: Parts, delta: float, adjacency: Adjacency | None = None) -> float:
    """Like `rdp_epsilon`, but only at fixed orders whose curves are remembered: a little larger, much faster.

    Raises:
        UnsupportedEvent: an event has no curve; it is named.
    """
    return float(np.min(_epsilon_at(_GRID, _grid_total(parts, adjacency), math.log(delta)), initial=math.inf))


def epsilon_at_orders(orders: ArrayLike, curve: ArrayLike, delta: float) -> FloatArray:
    """Epsilon that each order gives by itself; which one is used must not depend on any answer.

    Args:
        orders: Rényi orders, > 1, shape (n,).
        curve: Rényi divergence at them, nats, shape (n,).
        delta: failure mass, in (0, 1).

    Returns:
        Upper bounds in nats, rounded up, shape (n,); infinite where the curve is.

    Example:
        >>> epsilon_at_orders([8.0], [0.5], 1e-5).round(4)
        array([1.7141])
    """
    return _epsilon_at(np.asarray(orders, dtype=float) - 1.0, np.asarray(curve, dtype=float), math.log(delta))


def best_order_to_repeat(parts: Parts, epsilon: float, delta: float, adjacency: Adjacency | None = None) -> float:
    """The order, > 1, at which the parts can be repeated most often within (epsilon, delta); some order if they fit at none.

    Arguments and errors are those of `rdp_epsilon`, and epsilon, the budget, in nats.
    """
    log_delta = math.log(delta)

    def share(above: FloatArray, curve: FloatArray) -> FloatArray:
        room = epsilon - np.log(above / (above + 1.0)) + (log_delta + np.log(above + 1.0)) / above
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.where((room > 0.0) & np.isfinite(curve), curve / room, math.inf)

    return _best(parts, adjacency, share)[1]


def rdp_delta(parts: Parts, epsilon: float, adjacency: Adjacency | None = None) -> tuple[float, float]:
    """Upper bound on delta at an epsilon >= 0, nats, and its order; otherwise as `rdp_epsilon`."""
    log_delta, order = _best(parts, adjacency, lambda above, curve: _log_delta_at(above, curve, epsilon))
    return min(1.0, max(math.exp(min(log_delta, 0.0)) * (1.0 + _SLACK), math.ulp(0.0))), order


def _epsilon_at(above: FloatArray, curve: FloatArray, log_delta: float) -> FloatArray:
    """Epsilon at every order; infinite where the curve is."""
    curve = np.maximum(curve, _SMALLEST)
    orders = above + 1.0
    penalty = (log_delta + np.log(orders)) / above
    slack = _SLACK * (np.abs(curve) + np.abs(penalty) + np.log(orders) / above)
    with np.errstate(over="ignore"):
        found = np.maximum(curve + np.log(above / orders) - penalty + slack, 0.0)
    # Total variation <= sqrt(1 - exp(-KL)), and KL is at most the curve at any order.
    return np.where(np.sqrt(-np.expm1(-curve)) * (1.0 + _SLACK) <= math.exp(log_delta), 0.0, found)


def _log_delta_at(above: FloatArray, curve: FloatArray, epsilon: float) -> FloatArray:
    orders = above + 1.0
    curve = np.maximum(curve, _SMALLEST)
    with np.errstate(over="ignore", invalid="ignore"):
        slack = _SLACK * (1.0 + above * (np.abs(curve) + epsilon))
        found = above * (curve - epsilon + np.log(above / orders)) - np.log(orders) + slack
    found = np.where(np.isnan(found), 0.0, found)  # both infinite: nothing is known
    with np.errstate(divide="ignore"):
        return np.minimum(found, 0.5 * np.log(-np.expm1(-curve)) + _SLACK)


def _best(
    parts: Parts,
    adjacency: Adjacency | None,
    objective: Callable[[FloatArray, FloatArray], FloatArray],
) -> tuple[float, float]:
    """Smallest value of the objective over all orders, and the order."""
    claimed = np.array(sorted({order for part in parts for order in _claimed_orders(part)}))
    values = objective(_GRID, _grid_total(parts, adjacency))
    best = int(np.argmin(values))
    value, order = float(values[best]), float(_GRID[best] + 1.0)
    if not math.isfinite(value):
        return value, order
    low, high = math.log(_GRID[max(best - 1, 0)]), math.log(_GRID[min(best + 1, len(_GRID) - 1)])
    for _ in range(_REFINEMENTS):
        logs = np.linspace(low, high, _FINER)
        above = np.exp(logs)
        values = objective(above, total_curve(parts, above + 1.0, adjacency))
        best = int(np.argmin(values))
        if values[best] < value:
            value, order = float(values[best]), float(above[best] + 1.0)
        low, high = logs[max(best - 1, 0)], logs[min(best + 1, _FINER - 1)]
    if claimed.size:
        # The curve of a claim falls to a value at its orders alone: no grid would meet them.
        values = objective(claimed - 1.0, total_curve(parts, claimed, adjacency))
        best = int(np.argmin(values))
        if values[best] < value:
            value, order = float(values[best]), float(claimed[best])
    return value, order


def _claimed_orders(event: Event) -> tuple[float, ...]:
    """The orders of all RDP claims inside the event; between them such a curve is flat, so they are worth trying."""
    if isinstance(event, RDP):
        return event.orders
    inside = getattr(event, "events", None) or [part for part in [getattr(event, "event", None)] if part is not None]
    return tuple(order for part in inside for order in _claimed_orders(part))


def _grid_total(parts: Parts, adjacency: Adjacency | None) -> FloatArray:
    with np.errstate(over="ignore"):
        return sum((count * _grid_curve(part, adjacency) for part, count in parts.items()), np.zeros_like(_GRID))


@lru_cache(maxsize=4096)
def _grid_curve(part: Event, adjacency: Adjacency | None) -> FloatArray:
    curve = renyi(part, _GRID + 1.0, adjacency=None if adjacency is None else str(adjacency))
    curve.setflags(write=False)
    return curve


def _epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
    upper, order = rdp_epsilon(parts, delta, adjacency)
    return Answer(0.0, upper, "renyi", {"order": order})


def _delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
    upper, order = rdp_delta(parts, epsilon, adjacency)
    return Answer(0.0, upper, "renyi", {"order": order})


# A part without a curve is refused by the curve itself, which names it.
RENYI = Method("renyi", lambda parts, adjacency: None, _epsilon, _delta, one_by_one(_delta))
