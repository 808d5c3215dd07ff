"""delta(eps) from the spectrum of the loss, by the trapezoid rule on a shifted contour; every error is bounded.

By Poisson's summation formula the trapezoid sum with step 2 pi / T IS sum over n of delta(eps + n T) e^(lambda n T):
the term n = 0 plus terms that are never negative and have Chernoff bounds. What is left out of the sum, far lines, is
bounded through the modulus of the characteristic function.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from accountants.errors import ResolutionError
from accountants.fourier.spectra import Ceiling, Cumulants, Spectrum

__all__ = ["Contour", "LossSum"]

FloatArray = NDArray[np.float64]

_ULP = 2.0**-53
_ALIAS = 1e-9  # share of delta that the other terms of Poisson's formula may make up
_LOG_NOTHING = -20.0  # log of the share of the first line at which the rest stops mattering
_BEYOND = (1.1, 1.3, 1.7, 2.5, 4.0)  # tilts of Chernoff bounds for neighbours on the right and the left, as
_BEFORE = (0.3, 0.6)  # multiples of the contour's own
_FARTHEST = 2.0**20
_LINES = 2**14
_DIGITS = 7.0
_FIRST = 0.1  # length of the first interval of frequencies that is bounded at once, of its left end
_GROWTH = 1.5  # of the next one
_BLOCK = 3.0  # ratio of frequencies that share their quadrature
_HALVINGS = 6  # of an interval, in which the characteristic function cannot be bounded well enough
_TILT_HALVINGS = 6  # of an interval, in which the characteristic function cannot be bounded well enough
_LARGEST_TILT = 1e7
_SMALLEST_TILT = 1e-9


class LossSum:
    """The sum of independent losses in one direction.

    Args:
        spectra: groups of events.
        direction: whether the record is removed or added, for settings.
    """

    def __init__(self, spectra: Sequence[Spectrum], direction: str = "remove") -> None:
        self.spectra, self.direction = spectra, direction
        self._known: dict[float, Cumulants] = {}
        self._errors: dict[float, float] = {}

    def cumulants(self, tilt: float) -> Cumulants:
        """Of the whole sum, remembered."""
        found = self._known.get(tilt)
        if found is None:
            parts = [one.cumulants(tilt) for one in self.spectra]
            found = Cumulants(*(math.fsum(getattr(part, name) for part in parts) for name in Cumulants.__slots__))
            self._known[tilt] = found
        return found

    def log_chernoff(self, tilt: float, epsilon: float) -> float:
        """Upper bound on log delta(epsilon): (1 - e^-x)+ <= e^(tilt x) * tilt^tilt / (1 + tilt)^(1 + tilt)."""
        known = self.cumulants(tilt)
        if tilt not in self._errors:
            self._errors[tilt] = math.fsum(one.error(tilt) for one in self.spectra)
        exponent = known.log + self._errors[tilt] - tilt * epsilon
        slack = 16.0 * _ULP * (1.0 + abs(known.log) + tilt * abs(epsilon))
        return exponent + tilt * math.log(tilt) - (1.0 + tilt) * math.log1p(tilt) + slack

    def log_saddle(self, tilt: float) -> float:
        """Estimate of log delta at the epsilon whose saddle point this tilt is (Bahadur and Rao)."""
        known = self.cumulants(tilt)
        spread = math.sqrt(2.0 * math.pi * known.variance)
        return known.log - tilt * known.mean - math.log1p(tilt * (1.0 + tilt) * spread)

    def tilt_for_delta(self, delta: float) -> float:
        """Tilt of the saddle point of the epsilon that belongs to delta; an estimate."""
        return self._largest(lambda tilt: self.log_saddle(tilt) > math.log(delta))

    def tilt_for_epsilon(self, epsilon: float) -> float:
        """Tilt under which the sum is epsilon on average; an estimate, at most the largest tilt."""
        return self._largest(lambda tilt: self.cumulants(tilt).mean < epsilon)

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


@dataclass(frozen=True, slots=True)
class Evaluation:
    """delta at one epsilon: the sum, bounds on its errors, and the slope of log delta."""

    value: float
    error: float
    alias: float
    slope: float


class Contour:
    """The trapezoid sum at one tilt, ready to be evaluated near the epsilon that it was prepared for.

    Args:
        total: the summed loss.
        tilt: real part of the contour, > 0; near the saddle point for accuracy, anything for validity.

    Raises:
        ResolutionError: the characteristic function does not decay fast enough.
    """

    def __init__(self, total: LossSum, tilt: float) -> None:
        self.total = total
        self.tilt = _away_from_pole(total, tilt)
        self.known = total.cumulants(self.tilt)
        self.deviation = math.sqrt(self.known.variance)
        self._set_period()
        step = 2.0 * math.pi / self.period
        self._sum_lines(step)
        self.far = self._far_lines(step)

    def _set_period(self) -> None:
        """Choose the period so that neighbours add at most a tiny share."""
        total, tilt, centre = self.total, self.tilt, self.known.mean
        log_target = total.log_saddle(tilt) + math.log(_ALIAS)

        def reach(theta: float) -> float:
            return (total.cumulants(theta).log - theta * centre - log_target) / abs(theta - tilt)

        self.beyond_tilt = min((tilt * factor for factor in _BEYOND), key=reach)
        left = min(-log_target / tilt, *(reach(tilt * factor) for factor in _BEFORE))
        self.period = max(1.05 * max(reach(self.beyond_tilt), left), 4.0 * self.deviation)

    def _sum_lines(self, step: float) -> None:
        """Lines until the characteristic function is negligible."""
        count = self._lines_needed(step)
        parts = [one.lines(self.tilt, step, count) for one in self.total.spectra]
        log_modulus = np.sum([part.log_modulus for part in parts], axis=0)
        self.omega = step * np.arange(count + 1)
        self.phase = np.sum([part.phase for part in parts], axis=0)
        worst = np.sum([part.worst for part in parts], axis=0)
        self.log_moment = math.fsum(part.log for part in parts)
        argument = self.tilt + 1j * self.omega
        twice = np.where(self.omega > 0.0, 2.0, 1.0)
        modulus = np.exp(log_modulus)
        self.weight = twice / (argument * (1.0 + argument)) * modulus
        size = np.abs(self.weight)
        # The phase is a sum of counts times angles, less omega * epsilon: a few ulps of each.
        turned = 16.0 * _ULP * float(size @ (np.abs(self.phase) + 8.0))
        # Factors after modulus: exp sees the rounding of a log of size |log modulus|.
        rounded = 16.0 * _ULP * float(size @ (np.abs(log_modulus) + 8.0))
        counted = float(
            (np.abs(twice / (argument * (1.0 + argument))))
            @ np.maximum(0.0, np.exp(np.minimum(worst, 700.0)) - modulus)
        )
        self.line_error = turned + rounded + counted
        self.turning = 16.0 * _ULP * float(size @ self.omega)

    def _lines_needed(self, step: float) -> int:
        """Where the characteristic function seems to be negligible; that it stays so is proven afterwards."""
        omega, end = max(4.0 * step, 6.0 / self.deviation), 0.0
        ceilings: list[Ceiling] = []
        while omega <= _LINES * step:
            if omega > end:
                end = 2.5 * omega
                ceilings = [one.ceiling(self.tilt, omega, end) for one in self.total.spectra]
            seen = max(math.fsum(one(at, at) for one in ceilings) for at in (0.9 * omega, omega))
            if self._is_negligible(seen, omega, step) or self._is_negligible(self._log_beyond(omega), omega, step):
                return math.ceil(omega / step)
            # Near 0 the log of the modulus falls like a square, later more slowly.
            omega *= min(2.0, max(1.15, math.sqrt(_LOG_NOTHING / min(seen, -1.0))))
        raise ResolutionError(f"more than {_LINES} spectral lines would be needed; use method='lattice'")

    def _is_negligible(self, log_modulus: float, omega: float, step: float) -> bool:
        """Whether lines from omega on, none with a larger modulus, hardly add to the first line."""
        return log_modulus - math.log(0.5 * step * omega) < _LOG_NOTHING - math.log(self.tilt * (1.0 + self.tilt))

    def _far_lines(self, step: float) -> float:
        """Bound on the sum of all further |lines|: 2 |phi| / omega^2 each, and step / omega_m^2 sums like an integral."""
        end = reached = float(self.omega[-1])
        while not self._is_negligible(self._log_beyond(end), end, step):
            end *= 1.3
            if end > _FARTHEST * reached:
                raise ResolutionError("the characteristic function decays too slowly; use method='lattice'")
        far = math.exp(min(0.0, self._log_beyond(end))) / (end - step)
        if end > reached:
            far += self._between(reached, end, step)
        return 2.0 / step * far

    def _between(self, start: float, end: float, step: float) -> float:
        """Bound on the integral of |phi| / omega^2 that the lines between two frequencies stay below."""
        total, left = 0.0, start
        while left < end:
            right = min(end, _BLOCK * left)
            # A line at the left end belongs to the block before, hence the step; the very first line is summed already.
            total += self._in_block(left, right, step, 0.0 if left == start else step)
            left = right
        return total

    def _in_block(self, start: float, end: float, step: float, overlap: float) -> float:
        """The same over one block, in intervals that adapt to what can be bounded at once."""
        ceilings = [one.ceiling(self.tilt, start, end) for one in self.total.spectra]
        total, left, length = 0.0, start, _FIRST * start
        while left < end:
            right = min(end, left + length)
            waiting, deepest = [(left, right, 0)], 0
            while waiting:
                low, high, depth = waiting.pop()
                log_bound = min(0.0, math.fsum(one(low, high) for one in ceilings))
                if depth < _HALVINGS and not self._is_negligible(log_bound, low, step):
                    middle, deepest = 0.5 * (low + high), max(deepest, depth + 1)
                    waiting += [(middle, high, depth + 1), (low, middle, depth + 1)]
                else:
                    total += math.exp(log_bound) * (1.0 / (low - (overlap if low == start else step)) - 1.0 / high)
            left, length = right, length * (_GROWTH if deepest == 0 else 2.0 ** (1 - deepest))
        return total

    def _log_beyond(self, omega: float) -> float:
        return math.fsum(one.beyond(self.tilt, omega) for one in self.total.spectra)

    def at(self, epsilon: float) -> Evaluation:
        """delta(epsilon) with its errors."""
        turn = np.exp(1j * (self.phase - self.omega * epsilon))
        terms = self.weight * turn
        scale = math.exp(min(700.0, self.log_moment - self.tilt * epsilon)) / self.period
        value = scale * float(terms.real.sum())
        slope = -scale * float((terms * (self.tilt + 1j * self.omega)).real.sum())
        exponent = 16.0 * _ULP * (8.0 + abs(self.log_moment) + self.tilt * abs(epsilon))
        error = scale * (self.line_error + self.turning * abs(epsilon) + self.far) + abs(value) * exponent
        return Evaluation(value, error, self._alias(epsilon), slope / value if value > 0.0 else -math.inf)

    def _alias(self, epsilon: float) -> float:
        """Bound on the other terms of Poisson's formula at this epsilon."""
        period = self.period
        right = self._geometric(self.beyond_tilt, epsilon)
        left = min(
            math.exp(-self.tilt * period) / -math.expm1(-self.tilt * period),
            *(self._geometric(factor * self.tilt, epsilon) for factor in _BEFORE),
        )
        return right + left

    def _geometric(self, theta: float, epsilon: float) -> float:
        """Chernoff bounds at one tilt, summed over all neighbours on its side."""
        fall = abs(theta - self.tilt) * self.period
        return math.exp(min(700.0, self.total.log_chernoff(theta, epsilon) - fall)) / -math.expm1(-fall)


def _away_from_pole(total: LossSum, tilt: float) -> float:
    """A tilt at a good distance from the pole of the integrand at 0.

    Much closer than one standard deviation would only ask for a longer period; farther away the terms outgrow their
    sum. Move out as long as that costs at most three digits.
    """
    known = total.cumulants(tilt)
    allowed = total.log_saddle(tilt) + _DIGITS
    while tilt * math.sqrt(known.variance) < 1.0:
        moved = total.cumulants(2.0 * tilt)
        if moved.log - 2.0 * tilt * known.mean > allowed:
            break
        tilt *= 2.0
    return tilt
