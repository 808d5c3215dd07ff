"""Rényi curves: one function per event type.

A new mechanism adds data and registers its curve here; no accountant has to change.
"""

import math
from collections.abc import Callable
from functools import singledispatch
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accountants.errors import UnsupportedEvent
from accountants.events import (
    ApproxDP,
    Composed,
    Event,
    Gaussian,
    GNMax,
    PoissonSampled,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    Repeat,
    normal_form,
)
from accountants.events.normal import as_event
from accountants.rdp.sampled import log_moments

__all__ = ["renyi"]

FloatArray = NDArray[np.float64]
Orders = float | ArrayLike


@singledispatch
def renyi(event: Event, alpha: Orders) -> FloatArray:
    """Rényi divergence of an event in the worse direction; upper bound where no closed form is known.

    Poisson-sampled Gaussians are taken under add-remove (or zero-out), where the removal of a record is the worse case.

    Args:
        event: any event with a registered curve.
        alpha: orders, > 1, any shape.

    Returns:
        Divergence in nats, shape of `alpha`; infinite where there is none.

    Raises:
        UnsupportedEvent: no curve is known for the event or for an inner event, which is named.
        ValueError: an order is not above 1.

    Example:
        >>> renyi(RandomizedResponse(k=10, eps0=1), [2, 8, 64]).round(6)
        array([0.29613 , 0.791647, 0.976807])
    """
    supported = ", ".join(sorted(kind.__name__ for kind in renyi.registry if kind is not object))
    raise UnsupportedEvent(f"no Rényi curve for {event!r} ({type(event).__name__}); supported: {supported}")


@renyi.register
def _(event: Gaussian, alpha: Orders) -> FloatArray:
    orders = _orders(alpha)
    if event.sigma == 0.0:
        return np.full_like(orders, np.inf)
    with np.errstate(over="ignore"):
        return np.asarray(0.5 * orders / event.sigma / event.sigma)


@renyi.register
def _(event: GNMax, alpha: Orders) -> FloatArray:
    return renyi(Gaussian(event.sigma / math.sqrt(2.0)), alpha)


@renyi.register
def _(event: RandomizedResponse, alpha: Orders) -> FloatArray:
    # The moment minus 1 is q (1 - e^(-(a-1) eps0)) (e^(a eps0) - 1): positive factors, hence no cancellation.
    orders = _orders(alpha)
    if event.eps0 == 0.0:
        return np.zeros_like(orders)
    # Far out the terms overflow to infinity or underflow to minus infinity, both of which are meant.
    with np.errstate(over="ignore", divide="ignore"):
        return _response(event, orders)


def _response(event: RandomizedResponse, orders: FloatArray) -> FloatArray:
    above = orders - 1.0
    log_q = -event.eps0 - math.log1p((event.k - 1) * math.exp(-event.eps0))
    growth = orders * event.eps0
    log_excess = log_q + np.log(-np.expm1(-above * event.eps0)) + growth + np.log(-np.expm1(-growth))
    return np.asarray(np.minimum(np.logaddexp(0.0, log_excess) / above, event.eps0))


@renyi.register
def _(event: PriorResponse, alpha: Orders) -> FloatArray:
    if event.k == 1:
        return np.zeros_like(_orders(alpha))
    return renyi(RandomizedResponse(event.k, event.eps0), alpha)


@renyi.register
def _(event: PureDP, alpha: Orders) -> FloatArray:
    # Binary randomized response dominates every pure mechanism of the same level.
    return renyi(RandomizedResponse(2, event.epsilon), alpha)


@renyi.register
def _(event: ApproxDP, alpha: Orders) -> FloatArray:
    if event.delta > 0.0:
        return np.full_like(_orders(alpha), np.inf)
    return renyi(PureDP(event.epsilon), alpha)


@renyi.register
def _(event: Repeat, alpha: Orders) -> FloatArray:
    return _total(event, alpha)


@renyi.register
def _(event: Composed, alpha: Orders) -> FloatArray:
    return _total(event, alpha)


@renyi.register
def _(event: PoissonSampled, alpha: Orders) -> FloatArray:
    parts = normal_form(event)
    if parts != {event: 1}:  # q of 0 or 1, or an inner event that simplifies
        return _total(as_event(parts), alpha) if parts else np.zeros_like(_orders(alpha))
    if not isinstance(event.event, Gaussian):
        raise UnsupportedEvent(
            f"no Rényi curve for a Poisson sample of {event.event!r} ({type(event.event).__name__}); "
            "supported inside .poisson(q): Gaussian events and their compositions"
        )
    orders = _orders(alpha)
    if event.event.sigma == 0.0:
        return np.full_like(orders, np.inf)
    moments = log_moments(event.q, event.event.sigma, orders.ravel())
    return np.asarray(moments.reshape(orders.shape) / (orders - 1.0))


def _total(event: Event, alpha: Orders) -> FloatArray:
    total = np.zeros_like(_orders(alpha))
    for part, count in normal_form(event).items():
        with np.errstate(over="ignore"):
            total = total + count * cast("Callable[[Event, Orders], FloatArray]", renyi)(part, alpha)
    return np.asarray(total)


def _orders(alpha: Orders) -> FloatArray:
    orders = np.asarray(alpha, dtype=float)
    if not np.all(orders > 1.0):
        raise ValueError(f"alpha={alpha!r} must be orders > 1")
    return orders
