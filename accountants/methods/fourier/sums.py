"""From parts to the sum of their losses, in one direction."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from accountants.errors import ResolutionError
from accountants.events import Event, Gaussian, PoissonSampled
from accountants.methods.fourier.loss_sum import LossSum
from accountants.methods.fourier.spectra import GaussianSpectrum, SampledSpectrum
from accountants.numerics.rounding import exp_up

__all__ = ["chernoff", "directions", "loss_sum", "quick_bound"]

Parts = Mapping[Event, int]

_ULP = 2.0**-53
_SIGMAS = (0.02, 1e8)  # below nothing is private and too many nodes are needed; above powers of sigma overflow
_SMALLEST_Q = 1e-12
_SQUARES = (1e-150, 1e150)  # of mu, so that their own squares are floats with all their digits


def directions(parts: Parts) -> tuple[int, ...]:
    """Directions: +1 where the record is removed everywhere, -1 where it is added; one will do if nothing is sampled.

    The two are never mixed before composition: which of them is worse may depend on epsilon.
    """
    return (1, -1) if any(isinstance(part, PoissonSampled) for part in parts) else (1,)


def loss_sum(parts: Parts, sign: int, log_cut: float) -> LossSum:
    """The sum of losses in one direction."""
    counts: dict[tuple[float, float], int] = {}
    gaussians: list[GaussianSpectrum] = []
    for part, count in parts.items():
        if isinstance(part, PoissonSampled):
            sigma = cast("Gaussian", part.event).sigma
            if not (_SIGMAS[0] <= sigma <= _SIGMAS[1] and part.q >= _SMALLEST_Q):
                raise ResolutionError(f"{part!r} is out of reach of quadrature; use method='renyi'")
            counts[sigma, part.q] = counts.get((sigma, part.q), 0) + count
        else:
            gaussians.append(GaussianSpectrum(math.sqrt(count) / cast("Gaussian", part).sigma))
    squares = math.fsum(one.square for one in gaussians)
    if not (counts or squares > _SQUARES[0]) or squares > _SQUARES[1]:
        raise ResolutionError(f"Gaussians with a squared mu of {squares:g} are out of reach; use method='gaussian'")
    sampled = [SampledSpectrum(counts, sign, log_cut)] if counts else []
    return LossSum([*gaussians, *sampled], ("symmetric" if not counts else "remove" if sign > 0 else "add"))


def chernoff(total: LossSum, tilt: float, epsilon: float) -> float:
    """Upper bound on delta(epsilon) that needs no contour; any tilt will do, one near the saddle point is best."""
    return min(1.0, exp_up(min(0.0, total.log_chernoff(tilt, epsilon))) * (1.0 + 4.0 * _ULP) + total.missed)


def quick_bound(total: LossSum, epsilon: float) -> float:
    """The same where no tilt is known: nothing beyond the largest loss, else by the best tilt within reach."""
    if total.largest <= epsilon:
        return total.missed
    with suppress(ResolutionError):
        total.tilt_for(epsilon)
    return chernoff(total, total.known_tilt(epsilon), epsilon)
