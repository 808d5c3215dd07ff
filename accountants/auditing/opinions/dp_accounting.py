"""The privacy loss distributions of `dp-accounting`, rounded up and rounded down, asked within their limits.

The distributions are composed directly, never through its accountants: `PLDAccountant` ignores the count of a randomized
response, and `RdpAccountant` reads `1` and `1.0` differently inside a Poisson sample of a composition. Tails are cut at a
fixed 1e-15, so that below delta = 1e-9 nothing is asked. Randomized responses are left out: rounding pushes their atoms a
whole step.
"""

from collections.abc import Mapping
from functools import reduce

from accountants.adjacency import Adjacency
from accountants.auditing.opinions.limits import common_obstacle, sampled_gaussian
from accountants.bound import Bound
from accountants.events import Event, Laplace

_STEP = 1e-4  # of its lattice, nats
_LARGEST_LOSS = 50.0  # of one Laplace release


def obstacle(parts: Mapping[Event, int], delta: float, adjacency: Adjacency, bound: Bound) -> str | None:
    """The reason why it must not be asked, or None."""
    found = common_obstacle(parts, delta, adjacency, bound, smallest_delta=1e-9)
    if found is not None:
        return found
    for part in parts:
        if isinstance(part, Laplace) and 1.0 / part.scale <= _LARGEST_LOSS:
            continue
        if sampled_gaussian(part) is None:
            return f"it is trusted with Gaussians, Poisson samples of them and Laplace noise only, not with {part!r}"
    return None


def interval(parts: Mapping[Event, int], delta: float, bound: Bound) -> tuple[float, float]:
    """Its optimistic and pessimistic epsilon, nats.

    Raises:
        ImportError: it is not installed.
        TypeError: a part is not one of those that `obstacle` lets through.
        ValueError: it cannot do it.
    """
    return _epsilon(parts, delta, pessimistic=False), _epsilon(parts, delta, pessimistic=True)


def _epsilon(parts: Mapping[Event, int], delta: float, *, pessimistic: bool) -> float:
    from dp_accounting.pld import privacy_loss_distribution as plds

    # Its "connect the dots" gives upper ends only.
    options = {
        "pessimistic_estimate": pessimistic,
        "use_connect_dots": pessimistic,
        "value_discretization_interval": _STEP,
    }
    composed = []
    for part, count in parts.items():
        gaussian = sampled_gaussian(part)
        if gaussian is not None:
            once = plds.from_gaussian_mechanism(gaussian[1], sampling_prob=gaussian[0], **options)
        elif isinstance(part, Laplace):
            once = plds.from_laplace_mechanism(part.scale, **options)
        else:
            raise TypeError(f"{part!r} has no distribution here")
        composed.append(once.self_compose(count))
    return float(reduce(lambda first, second: first.compose(second), composed).get_epsilon_for_delta(delta))
