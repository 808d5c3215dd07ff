"""Privacy profiles: delta as a function of epsilon, each point a certified interval."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate

from accountants import check
from accountants.bound import Bound
from accountants.composition.epsilon import epsilon as epsilon_of
from accountants.composition.epsilon import profile
from accountants.events import Event

_TAILS = (1e-6, 1e-4, 1e-2, 0.5)  # tried where a smaller failure mass is never reached
_LARGEST = 700.0  # e^epsilon stays a float


def curve(
    event: Event,
    epsilons: Iterable[float],
    *,
    adjacency: str = "add-remove",
    width: float | None = None,
) -> tuple[Bound, ...]:
    """Certified intervals around the smallest delta at every epsilon.

    Args:
        event: what was done.
        epsilons: nats, each >= 0, any order.
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        width: as for `delta`.

    Returns:
        One bound on delta per epsilon, in the order of `epsilons`; both ends fall with epsilon.

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve.
        ResolutionError: no accountant that applies resolves the answer.
        ValueError: an epsilon, the adjacency or the width is out of range.

    Example:
        >>> from accountants.events import Gaussian
        >>> for bound in curve(Gaussian(sigma=1), [0, 1, 4]):
        ...     print(bound)
        [0.38292, 0.38293] (gaussian)
        [0.12693, 0.12694] (gaussian)
        [0.000047122, 0.000047123] (gaussian)
    """
    points = [check.as_float(epsilon=point, at_least=0.0) for point in epsilons]
    return falling(profile(event, adjacency=adjacency, width=width), points)


def falling(delta_at: Callable[[float], Bound], points: Sequence[float]) -> tuple[Bound, ...]:
    """Bounds on delta, made to fall, at epsilons in any order; `delta_at` as `composition.epsilon.profile` gives it."""
    order = sorted(range(len(points)), key=lambda place: points[place])
    # From the largest epsilon on: what was computed for a small delta serves larger ones.
    found = {place: delta_at(points[place]) for place in reversed(order)}
    bounds = [found[place] for place in range(len(points))]
    # The true curve falls: an upper end holds further on as well, a lower end before.
    uppers = accumulate((bounds[place].upper for place in order), min)
    lowers = reversed(list(accumulate((bounds[place].lower for place in reversed(order)), max)))
    for place, lower, upper in zip(order, lowers, uppers, strict=True):
        bounds[place] = replace(bounds[place], lower=min(lower, upper), upper=upper)
    return tuple(bounds)


def reach(event: Event, tail: float, *, adjacency: str = "add-remove") -> float:
    """The epsilon beyond which little of the curve is left, so that a picture of it may end there.

    Args:
        event: what was done.
        tail: the delta that counts as little, in (0, 1); where the event never gets there, a larger one is taken.
        adjacency: neighbouring relation.

    Returns:
        Nats, at most 700; 0 for an event that is free, or whose delta stays above 0.5.

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve.

    Example:
        >>> from accountants.events import ApproxDP, Gaussian
        >>> round(reach(Gaussian(sigma=1), 1e-9), 2), 1 < reach(ApproxDP(1, 1e-5), 1e-9) < 1.5
        (6.17, True)
    """
    for mass in (tail, *(larger for larger in _TAILS if larger > tail)):
        upper = epsilon_of(event, mass, adjacency=adjacency).upper
        if math.isfinite(upper):
            # Half as far again, where the curve ends on a floor that should be seen.
            return min(upper if mass == tail else 1.5 * upper, _LARGEST)
    return 0.0
