"""What no outside accountant is asked about: sizes at which they need minutes, and inputs without an answer."""

import math
from collections.abc import Mapping
from typing import cast

from accountants.adjacency import Adjacency
from accountants.bound import Bound
from accountants.events import Event, Gaussian, PoissonSampled

__all__ = ["common_obstacle", "is_sampled_gaussian"]

_LARGEST_EPSILON = 60.0  # their grids grow with it
_MOST_DISTINCT = 4
_MOST_COUNT = 50_000
_SIGMAS = (
    0.3,
    1000.0,
)  # below, one release alone costs more than the largest epsilon; above, their grids are too coarse


def common_obstacle(
    parts: Mapping[Event, int], delta: float, adjacency: Adjacency, bound: Bound, *, smallest_delta: float
) -> str | None:
    """Why a lattice accountant of somebody else must not be asked, or None.

    Args:
        parts: normal form of what was done.
        delta: failure mass.
        adjacency: neighbouring relation.
        bound: our interval around epsilon.
        smallest_delta: the smallest failure mass at which it is accurate.
    """
    if not parts:
        return "nothing was done"
    if math.isinf(bound.upper):
        return "epsilon is infinite"
    if bound.upper > _LARGEST_EPSILON:
        return f"epsilon above {_LARGEST_EPSILON:g} would take too long"
    if not smallest_delta <= delta <= 0.1:
        return f"delta={delta:g} lies outside [{smallest_delta:g}, 0.1], where it is accurate"
    if len(parts) > _MOST_DISTINCT or sum(parts.values()) > _MOST_COUNT:
        return f"more than {_MOST_DISTINCT} distinct events or {_MOST_COUNT} in total would take too long"
    for part in parts:
        if isinstance(part, PoissonSampled) and adjacency is Adjacency.REPLACE_ONE:
            return f"{part!r} under replace-one is another event there"
        sigma = _sigma(part)
        if sigma is not None and not _SIGMAS[0] <= sigma <= _SIGMAS[1]:
            return f"{part!r} has a sigma outside [{_SIGMAS[0]:g}, {_SIGMAS[1]:g}]"
    return None


def is_sampled_gaussian(event: Event) -> bool:
    """Whether this is a Gaussian, or a Poisson sample of one."""
    return isinstance(event, Gaussian) or (isinstance(event, PoissonSampled) and isinstance(event.event, Gaussian))


def _sigma(event: Event) -> float | None:
    inner = event.event if isinstance(event, PoissonSampled) else event
    return cast("Gaussian", inner).sigma if isinstance(inner, Gaussian) else None
