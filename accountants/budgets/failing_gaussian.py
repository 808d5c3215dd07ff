"""The Gaussian that dominates a charge once a small failure mass is set aside: it makes releases of all kinds add up."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from accountants.adjacency import Adjacency
from accountants.composition.epsilon import epsilon, profile
from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import Event, as_event
from accountants.numerics.array_kinds import FloatArray

_POINTS = 48  # of the curve; twice as many change mu by less than 1 %
_STEEPEST = 300.0  # nats; e^epsilon and its products stay floats
_SMALLEST, _LARGEST = 2.0**-40, 2.0**10  # mu
_HALVINGS = 40
_SLACK = 1e-13  # relative, covers the rounding of a normal distribution function


@lru_cache(maxsize=4096)
def failing_gaussian_level(parts: frozenset[tuple[Event, int]], failure: float, adjacency: Adjacency) -> float:
    """mu^2 of a Gaussian that, once the failure is set aside, reveals at least as much as all of the parts together.

    The parts are dominated by the mechanism that shows everything with probability f and answers N(0, 1) or N(mu, 1)
    otherwise: delta(epsilon) <= f + (1 - f) delta_mu(epsilon) for every epsilon >= 0, hence for every hockey stick in both
    directions, and by Blackwell's theorem the parts are a post-processing of it.

    Proof of the inequality between the points of the curve: delta is convex in y = e^epsilon, so it lies below its chords.
    The threshold test at any epsilon_m gives f + (1 - f)(A - y B) with A = Phi(mu/2 - epsilon_m/mu), B = Phi(-mu/2 -
    epsilon_m/mu), which is linear in y and never above the right-hand side. A chord whose two ends lie below such a line lies
    below it. Beyond the last point delta is at most f.

    Args:
        parts: distinct parts and their counts, one plan.
        failure: f, in (0, 1).
        adjacency: neighbouring relation, which all parts are stated for.

    Returns:
        mu^2, rounded up; infinite where no finite one was found.

    Source: Dong, Roth, Su 2019 (domination of trade-off curves); Kairouz, Oh, Viswanath 2015 (failures).

    Example:
        >>> from accountants.events import Gaussian
        >>> run = frozenset({(Gaussian(1.1).poisson(0.01), 10_000)})
        >>> round(math.sqrt(failing_gaussian_level(run, 1e-8, Adjacency.ADD_REMOVE)), 2)
        1.17
    """
    event = as_event(dict(parts))
    try:
        top = epsilon(event, failure, adjacency=str(adjacency)).upper
        if top > _STEEPEST:
            return math.inf
        if top == 0.0:
            return 0.0
        points = np.linspace(0.0, top, _POINTS + 1)
        at = profile(event, adjacency=str(adjacency))
        curve = [failure, *(at(point).upper for point in points[-2::-1].tolist())]
    except (ResolutionError, UnsupportedEvent):
        return math.inf
    return _smallest_level(points, np.minimum.accumulate(np.array(curve[::-1])), failure)


def _smallest_level(points: FloatArray, curve: FloatArray, failure: float) -> float:
    middle, y = 0.5 * (points[1:] + points[:-1]), np.exp(points) * (1.0 + _SLACK)

    def dominates(mu: float) -> bool:
        inside = ndtr(0.5 * mu - middle / mu) * (1.0 - _SLACK)
        outside = ndtr(-0.5 * mu - middle / mu) * (1.0 + _SLACK)
        lines = [failure + (1.0 - failure) * (inside - end * outside) * (1.0 - _SLACK) for end in (y[:-1], y[1:])]
        return bool(np.all(curve[:-1] <= lines[0]) and np.all(curve[1:] <= lines[1]))

    # Only a mu that was tested is given back, so that nothing needs to be assumed about the others.
    high = _SMALLEST
    while not dominates(high):
        high *= 2.0
        if high > _LARGEST:
            return math.inf
    low = 0.5 * high
    for _ in range(_HALVINGS):
        between = 0.5 * (low + high)
        low, high = (low, between) if dominates(between) else (between, high)
    return high * high * (1.0 + _SLACK)
