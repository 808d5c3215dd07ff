"""The sum of independent losses in one direction: cumulants, Chernoff bounds and saddle points."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

from accountants.errors import ResolutionError
from accountants.events import Gaussian, PoissonSampled
from accountants.methods.fourier.blur import Blur
from accountants.methods.fourier.sampled_spectrum import SampledSpectrum
from accountants.methods.fourier.spectrum import Cumulants, GaussianSpectrum, Spectrum
from accountants.methods.method import Parts
from accountants.numerics.rounding import ULP, exp_up

_DIGITS = 7.0  # log of what the terms of a sum may outgrow it by
_TILT_HALVINGS = 6  # of a bracket, which leave a tilt right to a percent or so: any tilt is valid
_LARGEST_TILT = 1e7  # per nat; no loss is resolved beyond it
_SMALLEST_TILT = 1e-9
_SIGMAS = (0.02, 1e8)  # below nothing is private and too many nodes are needed; above powers of sigma overflow
_SMALLEST_Q = 1e-12
_SQUARES = (1e-150, 1e150)  # of mu, so that their own squares are floats with all their digits


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a contour is wanted.

    Attributes:
        tilt: its real part, > 0: about the saddle point. Anything is valid.
        epsilon: nats, near which it will be evaluated.
        log_delta: estimate of the log of delta there.
    """

    tilt: float
    epsilon: float
    log_delta: float


class LossSum:
    """The sum of independent losses in one direction.

    Args:
        spectra: groups of events.
        direction: whether the record is removed or added, for settings.
        blur: noise that is composed with them.
    """

    def __init__(self, spectra: Sequence[Spectrum], direction: str = "remove", blur: Blur | None = None) -> None:
        self.spectra = spectra if blur is None else [*spectra, GaussianSpectrum(blur.mu)]
        self.direction, self.blur = direction, blur
        self.missed = math.fsum(spectrum.missed for spectrum in spectra)
        self.largest = math.fsum(spectrum.largest for spectrum in self.spectra)
        self._known: dict[float, Cumulants] = {}
        self._errors: dict[float, float] = {}

    def blurred(self, blur: Blur) -> "LossSum":
        """This sum with noise added."""
        return LossSum(self.spectra, self.direction, blur)

    def cumulants(self, tilt: float) -> Cumulants:
        """The cumulants of the whole sum, remembered."""
        found = self._known.get(tilt)
        if found is None:
            parts = [spectrum.cumulants(tilt) for spectrum in self.spectra]
            found = Cumulants(*(math.fsum(getattr(part, name) for part in parts) for name in Cumulants.__slots__))
            self._known[tilt] = found
        return found

    def log_chernoff(self, tilt: float, epsilon: float) -> float:
        """Upper bound on log delta(epsilon), without what is missed.

        (1 - e^-x)+ <= e^(tilt x) * tilt^tilt / (1 + tilt)^(1 + tilt).
        """
        known = self.cumulants(tilt)
        if tilt not in self._errors:
            self._errors[tilt] = math.fsum(spectrum.error(tilt) for spectrum in self.spectra)
        exponent = known.log + self._errors[tilt] - tilt * epsilon
        slack = 16.0 * ULP * (1.0 + abs(known.log) + tilt * abs(epsilon))
        return exponent + tilt * math.log(tilt) - (1.0 + tilt) * math.log1p(tilt) + slack

    def chernoff(self, tilt: float, epsilon: float) -> float:
        """Upper bound on delta(epsilon) that needs no contour; any tilt will do, one near the saddle point is best."""
        return min(1.0, exp_up(min(0.0, self.log_chernoff(tilt, epsilon))) * (1.0 + 4.0 * ULP) + self.missed)

    def best_chernoff(self, epsilon: float) -> float:
        """Upper bound on delta(epsilon) where no tilt is known: 0 beyond the largest loss, else by the best tilt in reach."""
        if self.largest <= epsilon:
            return self.missed
        with suppress(ResolutionError):
            self.tilt_for(epsilon)
        return self.chernoff(self.known_tilt(epsilon), epsilon)

    def aim_at_delta(self, delta: float) -> Aim:
        """The saddle point of the epsilon that belongs to delta, in (0, 1); estimates."""
        log_delta = math.log(delta)

        def is_low(tilt: float) -> bool:
            return self._log_height(tilt) - tilt * self.cumulants(tilt).mean > log_delta

        tilt = self._largest(is_low)
        # The mean moves quickly where a few large jumps begin to matter; this epsilon is at its smallest there.
        epsilon = max(0.0, (self._log_height(tilt) - log_delta) / tilt)
        return _away_from_pole(self, Aim(tilt, epsilon, log_delta))

    def aim_at_epsilon(self, epsilon: float) -> Aim:
        """The saddle point of epsilon, >= 0; estimates."""
        tilt = self.tilt_for(epsilon)
        return _away_from_pole(self, Aim(tilt, epsilon, min(0.0, self._log_height(tilt) - tilt * epsilon)))

    def tilt_for(self, epsilon: float) -> float:
        """About the tilt under which the sum is epsilon on average, or the largest one."""
        return self._largest(lambda tilt: self.cumulants(tilt).mean < epsilon)

    def known_tilt(self, epsilon: float) -> float:
        """The best tilt for a bound at epsilon among those whose cumulants are known; 1 if there are none."""
        return min(self._known, key=lambda tilt: self._known[tilt].log - tilt * epsilon, default=1.0)

    def _log_height(self, tilt: float) -> float:
        """Log E e^(tilt S) with the prefactor of Bahadur and Rao: delta(epsilon) is about e^(this - tilt epsilon)."""
        known = self.cumulants(tilt)
        return known.log - math.log1p(tilt * (1.0 + tilt) * math.sqrt(2.0 * math.pi * known.variance))

    def _largest(self, is_low: Callable[[float], bool]) -> float:
        low, high = _SMALLEST_TILT, 1.0
        while is_low(high):
            low, high = high, 4.0 * high
            if high > _LARGEST_TILT:
                return low
        while low == _SMALLEST_TILT and high > 1e-8 and not is_low(high / 4.0):
            high /= 4.0
        low = max(low, high / 4.0)
        for _ in range(_TILT_HALVINGS):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if is_low(middle) else (low, middle)
        return high


def _away_from_pole(total: LossSum, aim: Aim) -> Aim:
    """A tilt at a good distance from the pole of the integrand at 0.

    Much closer than one standard deviation would only ask for a longer period; farther away the terms outgrow their
    sum. Move out as long as that costs at most three digits.
    """
    tilt, known = aim.tilt, total.cumulants(aim.tilt)
    while tilt * math.sqrt(known.variance) < 1.0:
        moved = total.cumulants(2.0 * tilt)
        if moved.log - 2.0 * tilt * aim.epsilon > aim.log_delta + _DIGITS:
            break
        tilt *= 2.0
    return replace(aim, tilt=tilt)


def directions(parts: Parts) -> tuple[int, ...]:
    """Directions: +1 where the record is removed everywhere, -1 where it is added; one will do if nothing is sampled.

    The two are never mixed before composition: which of them is worse may depend on epsilon.
    """
    return (1, -1) if any(isinstance(part, PoissonSampled) for part in parts) else (1,)


def loss_sum(parts: Parts, sign: int, log_cut: float) -> LossSum:
    """The sum of the losses of all parts in one direction.

    Args:
        parts: Gaussians and Poisson-sampled Gaussians.
        sign: one of `directions`.
        log_cut: log of the mass of large losses that may be cut off at the top.

    Raises:
        ResolutionError: numbers are too large or too small for quadrature.
    """
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
    squares = math.fsum(gaussian.square for gaussian in gaussians)
    if not (counts or squares > _SQUARES[0]) or squares > _SQUARES[1]:
        raise ResolutionError(f"Gaussians with a squared mu of {squares:g} are out of reach; use method='gaussian'")
    sampled = [SampledSpectrum(counts, sign, log_cut)] if counts else []
    return LossSum([*gaussians, *sampled], ("symmetric" if not counts else "remove" if sign > 0 else "add"))
