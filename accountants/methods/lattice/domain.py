"""What the lattice does not even try: losses that no grid of floats can hold."""

from collections.abc import Iterator

from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import (
    Composed,
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Exponential,
    FixedSizeSampled,
    Gaussian,
    Laplace,
    PoissonSampled,
    PureDP,
    RandomizedResponse,
    SubsetResponse,
)
from accountants.events.person_groups import GroupSampledGaussian
from accountants.methods.method import Parts
from accountants.methods.renyi.renyi import renyi

_LEVELS = (1e-9, 600.0)  # nats that one release may cost
_SIGMAS = (0.02, 1e9)  # noise / sensitivity
_RATES = (1e-9, 1.0 - 1e-9)  # sampling probabilities
_TOTAL = 1e6  # nats that everything may cost on average
_COUNT = 10**11  # releases
_NEAR_ONE = 1.001  # Rényi order that stands for the average


def require_tame(parts: Parts, epsilon: float = 0.0) -> None:
    """Refuse parts whose losses are too large, too small or too many for a lattice, and an epsilon far beyond them.

    Raises:
        ResolutionError: a part is named; Rényi accounting still bounds it.
    """
    for part, count in parts.items():
        for name, value, (low, high) in _numbers(part):
            if not low <= value <= high:
                raise ResolutionError(
                    f"{part!r}: {name}={value:g} lies outside [{low:g}, {high:g}]; use method='renyi'"
                )
        if count > _COUNT:
            raise ResolutionError(f"{count} releases of {part!r} are above {_COUNT:g}; use method='renyi'")
    total = sum(count * _average(part) for part, count in parts.items())
    if epsilon > 10.0 * _TOTAL:
        raise ResolutionError(f"epsilon={epsilon:g} is above {10.0 * _TOTAL:g}; use method='renyi'")
    if not total <= _TOTAL:
        raise ResolutionError(f"losses of about {total:.3g} nats are above {_TOTAL:g}; use method='renyi'")


def _average(part: Event) -> float:
    try:
        return float(renyi(part, _NEAR_ONE))
    except UnsupportedEvent:
        return 0.0


def _numbers(part: Event) -> Iterator[tuple[str, float, tuple[float, float]]]:
    """Names, values and limits of what decides about the size of the losses."""
    match part:
        case PoissonSampled():
            yield "q", part.q, _RATES
            yield from _numbers(part.event)
        case FixedSizeSampled():
            yield "m / n", part.m / part.n, (_RATES[0], 1.0)
            yield from _numbers(part.event)
        case Composed():
            for inner in part.events:
                yield from _numbers(inner)
        case Gaussian():
            yield "sigma", part.sigma, _SIGMAS
        case GroupSampledGaussian():
            yield "q", part.q, _RATES
            yield "sigma / size", part.sigma / part.size, _SIGMAS
        case DiscreteGaussian():
            yield "sigma / sensitivity", part.sigma / part.sensitivity, _SIGMAS
        case Laplace():
            yield "scale", part.scale, (1.0 / _LEVELS[1], 1.0 / _LEVELS[0])
        case DiscreteLaplace():
            yield "rate * sensitivity", part.rate * part.sensitivity, _LEVELS
        case RandomizedResponse() | SubsetResponse():
            yield "eps0", part.eps0, _LEVELS
        case PureDP() | Exponential():
            yield "epsilon", part.epsilon, _LEVELS
        case _:
            return
