"""The Fourier accountant: epsilon and delta of Gaussians and Poisson-sampled Gaussians, certified at both ends."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.events import Event, Gaussian, PoissonSampled
from accountants.fourier.inversion import Contour, LossSum
from accountants.fourier.spectra import GaussianSpectrum, SampledSpectrum, Spectrum
from accountants.rounding import exp_up

__all__ = ["FourierAnswer", "delta_of", "epsilon_of", "stranger"]

Parts = Mapping[Event, int]

_ULP = 2.0**-53
_WORST_SHARE = 0.01  # of delta that errors may make up
_LOG_SMALLEST = -550.0  # of delta; below it floats get coarse
_SIGMAS = (0.02, 1e8)  # below nothing is private and too many nodes are needed; above powers of sigma overflow
_SMALLEST_Q = 1e-12
_LARGEST_EPSILON = 1e12


@dataclass(frozen=True, slots=True)
class FourierAnswer:
    """Certified ends, and how they were computed.

    Attributes:
        lower: from below.
        upper: from above.
        settings: direction that binds, tilt, period, number of spectral lines and share of errors in delta; JSON-able.
    """

    lower: float
    upper: float
    settings: dict[str, object]


def stranger(parts: Parts, adjacency: Adjacency) -> Event | None:
    """The first part that this accountant cannot take, or None; it takes sampled Gaussians, add-remove or zero-out."""
    for part in parts:
        inner = part.event if isinstance(part, PoissonSampled) else part
        sampled = isinstance(part, PoissonSampled)
        if not isinstance(inner, Gaussian) or (sampled and adjacency is Adjacency.REPLACE_ONE):
            return part
    return None


def epsilon_of(parts: Parts, delta: float, adjacency: Adjacency, *, effort: float = 1.0) -> FourierAnswer:
    """Certified interval around the smallest epsilon with delta(epsilon) <= delta.

    Args:
        parts: normal form -> count; no `stranger`, no sigma of 0.
        delta: failure mass, in (0, 1).
        adjacency: add-remove or zero-out, where sampled parts are present.
        effort: how much work may go into it; 1 gives up after some tenths of a second.

    Returns:
        The interval in nats.

    Raises:
        ResolutionError: the errors cannot be bounded well enough, for example for very few steps.

    Example:
        >>> parts = {Gaussian(1.1).poisson(0.01): 10_000}
        >>> found = epsilon_of(parts, 1e-5, Adjacency.ADD_REMOVE)
        >>> round(found.lower, 6), round(found.upper, 6)
        (5.192583, 5.192583)
    """
    first, *others = _directions(parts, effort)
    found = [_epsilon_in(first, delta)]
    # A direction whose plain Chernoff bound at this epsilon is within delta cannot cost more.
    log_delta = math.log(delta) - 4.0 * _ULP * abs(math.log(delta))
    found += [_epsilon_in(one, delta) for one in others if _log_bound(one, found[0].lower) > log_delta]
    return _worse(found)


def delta_of(parts: Parts, epsilon: float, adjacency: Adjacency, *, effort: float = 1.0) -> FourierAnswer:
    """Certified interval around delta(epsilon).

    Args:
        parts: normal form -> count; no `stranger`, no sigma of 0.
        epsilon: nats, >= 0.
        adjacency: add-remove or zero-out, where sampled parts are present.
        effort: how much work may go into it; 1 gives up after some tenths of a second.

    Returns:
        The interval, inside [0, 1].

    Raises:
        ResolutionError: the errors cannot be bounded well enough.
    """
    first, *others = _directions(parts, effort)
    found = [_delta_in(first, epsilon)]
    found += [_delta_in(one, epsilon) for one in others if exp_up(_log_bound(one, epsilon)) > found[0].lower]
    return _worse(found)


def _log_bound(total: LossSum, epsilon: float) -> float:
    """Upper bound on log delta(epsilon) that needs no contour."""
    return total.log_chernoff(total.tilt_for_epsilon(epsilon), epsilon)


def _worse(found: list[FourierAnswer]) -> FourierAnswer:
    """Both ends of the direction that costs more."""
    lower, upper = max(one.lower for one in found), max(one.upper for one in found)
    binding = max(range(len(found)), key=lambda index: found[index].upper)
    return FourierAnswer(lower, upper, found[binding].settings)


def _directions(parts: Parts, effort: float = 1.0) -> list[LossSum]:
    """The sum of losses where the record is removed everywhere, and where it is added everywhere.

    The two are never mixed before composition: which of them is worse may depend on epsilon.
    """
    counts: dict[tuple[float, float], int] = {}
    gaussian: list[Spectrum] = []
    for part, count in parts.items():
        if isinstance(part, PoissonSampled):
            sigma = cast("Gaussian", part.event).sigma
            if not (_SIGMAS[0] <= sigma <= _SIGMAS[1] and part.q >= _SMALLEST_Q):
                raise ResolutionError(f"{part!r} is out of reach of quadrature; use method='renyi'")
            counts[sigma, part.q] = counts.get((sigma, part.q), 0) + count
        else:
            gaussian.append(GaussianSpectrum(math.sqrt(count) / cast("Gaussian", part).sigma))
    if not counts:
        return [LossSum(gaussian, "symmetric")]
    return [
        LossSum([SampledSpectrum(counts, sign, effort), *gaussian], name) for sign, name in ((1, "remove"), (-1, "add"))
    ]


def _epsilon_in(total: LossSum, delta: float) -> FourierAnswer:
    if delta < math.exp(_LOG_SMALLEST):
        raise ResolutionError(f"delta={delta!r} is too close to the smallest float; use method='renyi'")
    contour = Contour(total, total.tilt_for_delta(delta))
    epsilon = _newton(contour, delta)
    found = contour.at(epsilon)
    spread = (found.error + found.alias) / delta
    if not spread <= _WORST_SHARE:
        raise ResolutionError(f"errors make up {spread:.2g} of delta; use method='lattice'")
    step = (2.0 * spread + 1e-12) / max(-found.slope, 1e-300) + 16.0 * _ULP * abs(epsilon)
    upper = _first_certain(lambda point: _above(contour, point) <= delta, epsilon, step)
    lower = _first_certain(lambda point: _below(contour, point) >= delta, epsilon, -step)
    return FourierAnswer(max(lower, 0.0), upper, _settings(contour, spread))


def _settings(contour: Contour, share: float) -> dict[str, object]:
    return {
        "direction": contour.total.direction,
        "tilt": contour.tilt,
        "period": contour.period,
        "lines": len(contour.omega),
        "numeric_share_of_delta": share,
    }


def _newton(contour: Contour, delta: float) -> float:
    """Where the computed sum is delta, about; negative results are left alone until the end."""
    epsilon, log_delta = contour.known.mean, math.log(delta)
    reach = 3.0 * contour.deviation
    for _ in range(60):
        found = contour.at(epsilon)
        if not found.value > 0.0 or not found.slope < 0.0:
            raise ResolutionError("the sum loses its sign near the solution; use method='lattice'")
        step = (log_delta - math.log(found.value)) / found.slope
        epsilon += min(max(step, -reach), reach)
        if abs(step) <= 1e-13 * (1.0 + abs(epsilon)):
            break
    return epsilon


def _first_certain(holds: Callable[[float], bool], start: float, step: float) -> float:
    """The first of start + step, start + 2 step, ... where the condition is certain; 0 if it holds there already."""
    for _ in range(40):
        point = max(0.0, start + step)
        if holds(point):
            return point
        if step < 0.0 and point == 0.0:
            return 0.0
        step *= 2.0
    raise ResolutionError("no certain end was found near the solution; use method='lattice'")


def _above(contour: Contour, epsilon: float) -> float:
    found = contour.at(epsilon)
    return (found.value + found.error) * (1.0 + 8.0 * _ULP)


def _below(contour: Contour, epsilon: float) -> float:
    found = contour.at(epsilon)
    return (found.value - found.error - found.alias) * (1.0 - 8.0 * _ULP)


def _delta_in(total: LossSum, epsilon: float) -> FourierAnswer:
    if epsilon > _LARGEST_EPSILON:
        raise ResolutionError(f"epsilon={epsilon:g} is too large for quadrature; use method='renyi'")
    tilt = total.tilt_for_epsilon(epsilon)
    log_bound = total.log_chernoff(tilt, epsilon)
    if total.cumulants(tilt).mean < epsilon or log_bound < _LOG_SMALLEST:
        # Beyond the largest loss, or so small that only a bound is left.
        return FourierAnswer(0.0, min(1.0, exp_up(min(0.0, log_bound))), {"direction": total.direction, "tilt": tilt})
    contour = Contour(total, tilt)
    found = contour.at(epsilon)
    if not found.error + found.alias <= _WORST_SHARE * found.value:
        raise ResolutionError("errors make up more than 1 % of delta; use method='lattice'")
    share = (found.error + found.alias) / found.value
    return FourierAnswer(
        max(0.0, _below(contour, epsilon)), min(1.0, _above(contour, epsilon)), _settings(contour, share)
    )
