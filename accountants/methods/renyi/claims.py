"""Rényi curves of what is only known by Rényi divergences, and of bounded range."""

import math
import sys

import numpy as np

from accountants.adjacency import Adjacency
from accountants.events import RDP, ZCDP, Exponential
from accountants.methods.renyi.registry import curve
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

_SMALLEST_SPREAD = 1e-6


@curve.register
def _(event: ZCDP, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    with np.errstate(over="ignore"):
        return event.xi + event.rho * orders


@curve.register
def _(event: RDP, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # The divergence grows with the order: a bound at any larger order holds.
    best = np.append(np.minimum.accumulate(np.array(event.values)[::-1])[::-1], np.inf)
    return best[np.searchsorted(np.array(event.orders), orders, side="left")]


@curve.register
def _(event: Exponential, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # Bounded range: the worst pairs have losses t and t - e. Their moment is A e^((a-1) t) - B e^(a t) with A = 1 + B and
    # B = e^-e (1 - e^(-(a-1) e)) / (1 - e^-e); it is largest where e^t = (a-1) A / (a B), hence A e^((a-1) t) / a.
    # An adaptive composition may use another t in every step, so each step is charged its maximum.
    spread, above = event.epsilon, orders - 1.0
    with np.errstate(over="ignore", under="ignore"):
        ceiling = np.minimum(0.125 * orders * spread * spread, spread)
        if spread < _SMALLEST_SPREAD:  # the two agree, and the closed form would cancel
            return ceiling
        if math.exp(-spread) < sys.float_info.min:  # where its logarithm would not be one of a positive number
            return ceiling
        rest = math.exp(-spread) / -math.expm1(-spread) * -np.expm1(-above * spread)
        worst = np.log(above) - np.log(orders) + np.log1p(rest) - np.log(rest)
        log_moment = np.log1p(rest) - np.log(orders) + above * worst
        # Small spreads cancel; what rounding can have lost is added.
        logs = np.abs(np.log(above)) + np.log(orders) + np.log1p(rest) + np.abs(np.log(rest)) + 1.0
        return np.minimum(ceiling, (log_moment + 16.0 * ULP * (np.log1p(rest) + np.log(orders) + above * logs)) / above)
