"""delta(eps) from the spectrum of the loss, by the trapezoid rule on a shifted contour; every error is bounded.

By Poisson's summation formula the trapezoid sum with step 2 pi / T IS sum over n of delta(eps + n T) e^(lambda n T):
the term n = 0 plus terms that are never negative and have Chernoff bounds. What is left out of the sum, far lines, is
bounded through the modulus of the characteristic function.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from accountants.errors import ResolutionError
from accountants.methods.fourier.blur import Blur
from accountants.methods.fourier.loss_sum import Aim, LossSum
from accountants.methods.fourier.spectrum import Ceiling
from accountants.numerics.rounding import ULP

_ALIAS = 1e-9  # share of delta that the other terms of Poisson's formula may make up
_LOG_NOTHING = -20.0  # log of the share of the first line at which the rest stops mattering
_MARGIN = 8.0  # the same, by which a modulus seen has to be below that, as proving it for an interval loses some
# Tilts of Chernoff bounds for neighbours on the right and on the left, as multiples of the contour's own.
_BEYOND = (1.1, 1.3, 1.7, 2.5, 4.0, 8.0, 16.0)
_BEFORE = (0.3, 0.6)
_SHARES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)  # of the saddle point's tilt; where few jumps matter it lies on a wall
_LONGEST = 1e150  # nats, of a period
_FARTHEST = 2.0**20  # times the last line, up to where a decay is looked for
_LINES = 2**14  # most that are summed; some tenths of a second
_BLURRED_LINES = 2**19  # the same with noise, whose lines cost less each
_PRECISION = 1e-12  # of the characteristic function, all events together
_DIGITS = 7.0  # log of what the terms of a sum may outgrow it by
_FIRST = 0.1  # length of the first interval of frequencies that is bounded at once, of its left end
_GROWTH = 1.5  # of the next one
_BLOCK = 10.0  # ratio of frequencies that share their quadrature
_HALVINGS = 6  # of an interval, in which the characteristic function cannot be bounded well enough


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
        aim: where delta will be asked for.

    Raises:
        ResolutionError: the characteristic function does not decay fast enough.
    """

    def __init__(self, total: LossSum, aim: Aim) -> None:
        self.total, self.blur = total, total.blur
        self.aim, self.tilt = aim, aim.tilt
        self.known = total.cumulants(self.tilt)
        self.deviation = math.sqrt(self.known.variance)
        self.period, self.beyond_tilt = period_of(total, self.aim)
        step = 2.0 * math.pi / self.period
        self._sum_lines(step)
        self.far = self._far_lines(step)

    def _sum_lines(self, step: float) -> None:
        """Lines until the characteristic function is negligible."""
        blur = self.blur
        count = self._lines_needed(step) if blur is None else self._lines_of(blur, step)
        parts = [spectrum.lines(self.tilt, step, count, _PRECISION) for spectrum in self.total.spectra]
        log_modulus = np.sum([part.log_modulus for part in parts], axis=0)
        self.omega = step * np.arange(count + 1)
        self.phase = np.sum([part.phase for part in parts], axis=0)
        excess = np.sum([part.excess for part in parts], axis=0)
        self.log_moment = math.fsum(part.log for part in parts)
        self.log_error = math.fsum(part.log_error for part in parts)
        argument = self.tilt + 1j * self.omega
        twice = np.where(self.omega > 0.0, 2.0, 1.0)
        modulus = np.exp(log_modulus)
        self.weight = twice / (argument * (1.0 + argument)) * modulus
        size = np.abs(self.weight)
        # The phase is a sum of counts times angles, less omega * epsilon: a few ulps of each.
        turned = 16.0 * ULP * float(size @ (np.abs(self.phase) + 8.0))
        # Factors after modulus: exp sees the rounding of a log of size |log modulus|.
        rounded = 16.0 * ULP * float(size @ (np.abs(log_modulus) + 8.0))
        largest = np.abs(twice / (argument * (1.0 + argument)))
        # What the errors of the characteristic function may add; beyond e both may be anything up to their bounds.
        worst = np.exp(np.minimum(log_modulus + excess, 0.0)) + modulus
        added = np.where(excess < 1.0, modulus * np.expm1(np.minimum(excess, 1.0)), worst)
        counted = float(largest @ added)
        self.line_error = turned + rounded + counted
        self.turning = 16.0 * ULP * float(size @ self.omega)

    def _lines_needed(self, step: float) -> int:
        """Where the characteristic function seems to be negligible; that it stays so is proven afterwards."""
        omega, end = max(4.0 * step, 6.0 / self.deviation), 0.0
        ceilings: list[Ceiling] = []
        while omega <= _LINES * step:
            if omega > end:
                end = 2.5 * omega
                ceilings = [spectrum.ceiling(self.tilt, omega, end) for spectrum in self.total.spectra]
            seen = max(math.fsum(ceiling(at, at) for ceiling in ceilings) for at in (0.9 * omega, omega))
            if self._is_negligible(seen + _MARGIN, omega, step) or self._is_negligible(
                self._log_beyond(omega), omega, step
            ):
                return math.ceil(omega / step)
            # Near 0 the log of the modulus falls like a square, later more slowly.
            omega *= min(2.0, max(1.15, math.sqrt(_LOG_NOTHING / min(seen, -1.0))))
        raise ResolutionError(f"more than {_LINES} spectral lines would be needed; use method='lattice'")

    def _lines_of(self, blur: Blur, step: float) -> int:
        """Where the noise alone makes the characteristic function negligible."""
        omega = 4.0 * step
        while not self._is_negligible(-0.5 * (blur.mu * omega) ** 2, omega, step):
            omega *= 1.1
        if not omega <= _BLURRED_LINES * step:
            raise ResolutionError(f"more than {_BLURRED_LINES} spectral lines would be needed; use method='lattice'")
        return math.ceil(omega / step)

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
        """The integral over one block, in intervals that adapt to what can be bounded at once."""
        ceilings = [spectrum.ceiling(self.tilt, start, end) for spectrum in self.total.spectra]
        total, left, length = 0.0, start, _FIRST * start
        while left < end:
            right = min(end, left + length)
            waiting, deepest = [(left, right, 0)], 0
            while waiting:
                low, high, depth = waiting.pop()
                log_bound = min(0.0, math.fsum(ceiling(low, high) for ceiling in ceilings))
                if depth < _HALVINGS and not self._is_negligible(log_bound, low, step):
                    middle, deepest = 0.5 * (low + high), max(deepest, depth + 1)
                    waiting += [(middle, high, depth + 1), (low, middle, depth + 1)]
                else:
                    total += math.exp(log_bound) * (1.0 / (low - (overlap if low == start else step)) - 1.0 / high)
            left, length = right, length * (_GROWTH if deepest == 0 else 2.0 ** (1 - deepest))
        return total

    def _log_beyond(self, omega: float) -> float:
        return math.fsum(spectrum.beyond(self.tilt, omega) for spectrum in self.total.spectra)

    def at(self, epsilon: float) -> Evaluation:
        """delta(epsilon) with its errors."""
        turn = np.exp(1j * (self.phase - self.omega * epsilon))
        terms = self.weight * turn
        scale = math.exp(min(700.0, self.log_moment - self.tilt * epsilon)) / self.period
        value = scale * float(terms.real.sum())
        slope = -scale * float((terms * (self.tilt + 1j * self.omega)).real.sum())
        exponent = self.log_error + 16.0 * ULP * (8.0 + abs(self.log_moment) + self.tilt * abs(epsilon))
        lines = self.line_error + self.turning * abs(epsilon) + self.far
        error = scale * math.exp(exponent) * lines + abs(value) * math.expm1(exponent)
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


def period_of(total: LossSum, aim: Aim) -> tuple[float, float]:
    """A period whose neighbours add at most a tiny share to delta, and the tilt that bounds those on the right.

    Raises:
        ResolutionError: it would be too long.
    """
    log_target = aim.log_delta + math.log(_ALIAS)

    def reach(theta: float) -> float:
        return (total.cumulants(theta).log - theta * aim.epsilon - log_target) / abs(theta - aim.tilt)

    best, beyond = math.inf, aim.tilt
    for factor in _BEYOND:
        found = reach(factor * aim.tilt)
        if found > 2.0 * best:
            break  # it has one minimum
        if found < best:
            best, beyond = found, factor * aim.tilt
    left = min(-log_target / aim.tilt, *(reach(aim.tilt * factor) for factor in _BEFORE))
    spread = math.sqrt(total.cumulants(aim.tilt).variance)
    period = max(1.05 * max(best, left), min(4.0 * spread, 2.0 * max(best, left)))
    if not 0.0 < period < _LONGEST:
        raise ResolutionError(f"a period of {period:g} nats is out of reach; use method='renyi'")
    return period, beyond


def with_short_period(total: LossSum, aim: Aim) -> Aim:
    """The aim with the tilt, at most the given one, that has the shortest period at the cost of few digits."""
    allowed = total.cumulants(aim.tilt).log - aim.tilt * aim.epsilon + _DIGITS
    tilts = [share * aim.tilt for share in _SHARES]
    aims = [replace(aim, tilt=tilt) for tilt in tilts if total.cumulants(tilt).log - tilt * aim.epsilon <= allowed]
    return min(aims, key=lambda moved: period_of(total, moved)[0])
