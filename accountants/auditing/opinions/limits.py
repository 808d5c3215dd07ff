"""The limits common to all outside accountants: sizes at which they need minutes, and inputs without an answer."""

import math
from collections.abc import Mapping

from accountants.adjacency import Adjacency
from accountants.bound import Bound
from accountants.events import Event, Gaussian, PoissonSampled

_LARGEST_EPSILON = 60.0  # their grids grow with it
_MOST_DISTINCT = 4
_MOST_COUNT = 50_000
# Below, one release alone costs more than the largest epsilon; above, their grids are too coarse.
_SIGMAS = (0.3, 1000.0)


def common_obstacle(
    parts: Mapping[Event, int], delta: float, adjacency: Adjacency, bound: Bound, *, smallest_delta: float
) -> str | None:
    """The reason why a lattice accountant, accurate from `smallest_delta` on, must not be asked about a bound, or None."""
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
        gaussian = sampled_gaussian(part)
        if gaussian is not None and not _SIGMAS[0] <= gaussian[1] <= _SIGMAS[1]:
            return f"{part!r} has a sigma outside [{_SIGMAS[0]:g}, {_SIGMAS[1]:g}]"
    return None


def sampled_gaussian(event: Event) -> tuple[float, float] | None:
    """Rate and sigma of a Poisson sample of a Gaussian, rate 1 for the Gaussian itself; None for anything else."""
    match event:
        case Gaussian(sigma):
            return 1.0, sigma
        case PoissonSampled(q, Gaussian(sigma)):
            return q, sigma
        case _:
            return None
