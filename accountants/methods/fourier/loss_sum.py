"""The sum of independent losses in one direction: cumulants, Chernoff bounds and saddle points."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from accountants.methods.fourier.blur import Blur
from accountants.methods.fourier.spectra import Cumulants, GaussianSpectrum, Spectrum

__all__ = ["Aim", "LossSum"]

_ULP = 2.0**-53
_DIGITS = 7.0  # log of what the terms of a sum may outgrow it by
_TILT_HALVINGS = 6
_LARGEST_TILT = 1e7
_SMALLEST_TILT = 1e-9


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
        self.missed = math.fsum(one.missed for one in spectra)
        self.largest = math.fsum(one.largest for one in self.spectra)
        self._known: dict[float, Cumulants] = {}
        self._errors: dict[float, float] = {}

    def blurred(self, blur: Blur) -> "LossSum":
        """The same with noise."""
        return LossSum(self.spectra, self.direction, blur)

    def cumulants(self, tilt: float) -> Cumulants:
        """Of the whole sum, remembered."""
        found = self._known.get(tilt)
        if found is None:
            parts = [one.cumulants(tilt) for one in self.spectra]
            found = Cumulants(*(math.fsum(getattr(part, name) for part in parts) for name in Cumulants.__slots__))
            self._known[tilt] = found
        return found

    def log_chernoff(self, tilt: float, epsilon: float) -> float:
        """Upper bound on log delta(epsilon), without what is missed.

        (1 - e^-x)+ <= e^(tilt x) * tilt^tilt / (1 + tilt)^(1 + tilt).
        """
        known = self.cumulants(tilt)
        if tilt not in self._errors:
            self._errors[tilt] = math.fsum(one.error(tilt) for one in self.spectra)
        exponent = known.log + self._errors[tilt] - tilt * epsilon
        slack = 16.0 * _ULP * (1.0 + abs(known.log) + tilt * abs(epsilon))
        return exponent + tilt * math.log(tilt) - (1.0 + tilt) * math.log1p(tilt) + slack

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
