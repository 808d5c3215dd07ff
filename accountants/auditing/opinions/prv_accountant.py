"""The privacy random variables of `prv-accountant` (Gopi, Lee, Wutschitz 2021), asked within their limits.

Only Gaussians and Poisson samples of them: its pure-DP variable fails at a few compositions ("discrete mean differs"),
sigma = 0 does not end, and below delta = 1e-10 its sums are not accurate. Only the direction "record removed" is
composed, so that it bounds from above no more than that direction.
"""

import math
from collections.abc import Mapping

from accountants.adjacency import Adjacency
from accountants.auditing.opinions.limits import common_obstacle, sampled_gaussian
from accountants.bound import Bound
from accountants.events import Event

_MOST_POINTS = 4e6  # of its grids, all events together: a few seconds and half a gigabyte


def obstacle(parts: Mapping[Event, int], delta: float, adjacency: Adjacency, bound: Bound) -> str | None:
    """The reason why it must not be asked, or None."""
    found = common_obstacle(parts, delta, adjacency, bound, smallest_delta=1e-10)
    if found is not None:
        return found
    unsupported = next((part for part in parts if sampled_gaussian(part) is None), None)
    if unsupported is not None:
        return f"it is trusted with Gaussians and Poisson samples of them only, not with {unsupported!r}"
    steps = 2.0 * (bound.upper + 10.0) / _error(bound) * math.sqrt(sum(parts.values()) * math.log(12e3 / delta))
    return f"its grids would need {steps * len(parts):.2g} points" if steps * len(parts) > _MOST_POINTS else None


def interval(parts: Mapping[Event, int], delta: float, bound: Bound) -> tuple[float, float]:
    """Its lower and upper end, nats.

    Raises:
        ImportError: it is not installed.
        RuntimeError: it cannot do it.
    """
    import prv_accountant as prv

    gaussians = [gaussian for part in parts if (gaussian := sampled_gaussian(part)) is not None]
    variables = [
        prv.PoissonSubsampledGaussianMechanism(sampling_probability=q, noise_multiplier=sigma)
        if q < 1.0
        else prv.GaussianMechanism(sigma)
        for q, sigma in gaussians
    ]
    counts = list(parts.values())
    accountant = prv.PRVAccountant(
        prvs=variables, max_self_compositions=counts, eps_error=_error(bound), delta_error=delta / 1000.0
    )
    lower, _, upper = accountant.compute_epsilon(delta, counts)
    return max(0.0, float(lower)), float(upper)


def _error(bound: Bound) -> float:
    return max(0.01, 0.01 * bound.upper)
