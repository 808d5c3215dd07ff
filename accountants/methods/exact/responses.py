"""Exact composition of randomized responses that share one eps0: no discretisation, only rounding.

The privacy loss of one release is +eps0, 0 or -eps0, so the loss of any number of them, with any alphabets,
lies on the lattice of step eps0. Its law is the product of closed-form spectra; it is exponentially tilted
first, so that the tail that decides delta sits in the middle of the transform and keeps its relative
accuracy.
"""

import math
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len

from accountants.errors import ResolutionError
from accountants.methods.exact.tilted import TAIL, TiltedLaw
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP, exp_down, exp_up

_LEAST_LOG = -745.0  # of a float
_MAX_LOSS = 1e12  # nats; beyond it nothing is private, and rounding of the losses themselves would count
_MAX_CELLS = 2**22  # window of about 100 MB; more than 10^10 releases


def delta_of(alphabets: Mapping[int, int], eps0: float, epsilon: float) -> tuple[float, float]:
    """Certified interval around delta(epsilon) of randomized responses with the same eps0.

    Args:
        alphabets: alphabet size k >= 2 -> number of releases with it, >= 1.
        eps0: pure-DP level of one release, nats, > 0.
        epsilon: nats, >= 0.

    Returns:
        (lower, upper), both in [0, 1].

    Raises:
        ResolutionError: rounding exceeds 1 % of delta, or there are too many releases.

    Example:
        >>> lower, upper = delta_of({2: 1}, 1.0, 0.5)
        >>> lower <= (math.e - math.exp(0.5)) / (math.e + 1) <= upper
        True
    """
    total = sum(alphabets.values())
    steps = epsilon / eps0
    if steps >= total * (1.0 + 8.0 * ULP):
        return 0.0, 0.0
    releases = _Releases(alphabets, eps0)
    law = releases.tilted(releases.tilt_for_mean(steps))
    log_lower, log_upper = law.log_delta(epsilon)
    lower = exp_down(log_lower - 4.0 * ULP * (1.0 + abs(log_lower))) if log_lower > -math.inf else 0.0
    return lower, min(1.0, max(exp_up(log_upper + 4.0 * ULP * (1.0 + abs(log_upper))), math.ulp(0.0)))


def epsilon_of(alphabets: Mapping[int, int], eps0: float, delta: float) -> tuple[float, float]:
    """Certified interval in nats around the smallest epsilon with delta(epsilon) <= delta, in [0, 1).

    The other arguments and the errors are those of `delta_of`.

    Example:
        >>> lower, upper = epsilon_of({10: 100}, 0.5, 1e-5)
        >>> round(lower, 6), round(upper, 6)
        (13.169252, 13.169252)
    """
    most = sum(alphabets.values()) * eps0
    if delta == 0.0:
        return most * (1.0 - 4.0 * ULP), most * (1.0 + 4.0 * ULP)
    if most <= delta:  # total variation of an epsilon-DP pair is at most epsilon / 2
        return 0.0, 0.0
    releases = _Releases(alphabets, eps0)
    log_delta = math.log(delta)
    law = releases.tilted(releases.tilt_for_delta(log_delta))
    upper = law.solve(log_delta - 2.0 * ULP * (1.0 - log_delta), sign=1.0) * (1.0 + 16.0 * ULP)
    lower = law.solve(log_delta + 2.0 * ULP * (1.0 - log_delta), sign=-1.0) * (1.0 - 16.0 * ULP)
    upper = min(upper, most * (1.0 + 4.0 * ULP))
    return min(lower, upper), upper


class _Releases:
    """The sum of the losses of all releases, in units of eps0, under any exponential tilt."""

    def __init__(self, alphabets: Mapping[int, int], eps0: float) -> None:
        if not eps0 * sum(alphabets.values()) <= _MAX_LOSS:
            raise ResolutionError(f"losses up to {eps0!r} per release are too large to add up; use method='renyi'")
        self.eps0 = eps0
        self.count = np.array(list(alphabets.values()), dtype=float)
        self.total = sum(alphabets.values())
        sizes = np.array(list(alphabets), dtype=float)
        with np.errstate(divide="ignore"):
            self.log_zero = np.log(sizes - 2.0)  # log-odds of loss 0 against loss -eps0
        self.log_lowest = -eps0 - np.log1p((sizes - 1.0) * math.exp(-eps0))  # log P(loss = -eps0)

    def step(self, tilt: float) -> tuple[FloatArray, FloatArray]:
        """Tilted probabilities of (-1, 0, +1), shape (3, n); log moment generating functions, shape (n,)."""
        logs = np.stack([np.full_like(self.count, -tilt), self.log_zero, np.full_like(self.count, self.eps0 + tilt)])
        log_sum = np.logaddexp.reduce(logs)
        return np.exp(logs - log_sum), log_sum + self.log_lowest

    def moments(self, tilt: float) -> tuple[float, float, float]:
        """Log moment generating function, tilted mean and tilted variance of the sum."""
        (down, zero, up), log_mgf = self.step(tilt)
        variance = zero * (up + down) + 4.0 * up * down
        return float(self.count @ log_mgf), float(self.count @ (up - down)), float(self.count @ variance)

    def tilt_for_mean(self, steps: float) -> float:
        """The tilt, >= 0, under which the sum is `steps` on average, as far as it can get there."""
        return self._first(lambda tilt: self.moments(tilt)[1] >= steps)

    def tilt_for_delta(self, log_delta: float) -> float:
        """The tilt, >= 0, of the saddle point for this delta, up to polynomial factors."""

        def is_beyond(tilt: float) -> bool:
            log_mgf, mean, variance = self.moments(tilt)
            decay = tilt * (1.0 + min(tilt / self.eps0, 1e100))
            spread = math.log1p(decay * math.sqrt(2.0 * math.pi * variance))
            return log_mgf - tilt * mean - spread <= log_delta

        return self._first(is_beyond)

    def _first(self, holds: Callable[[float], bool]) -> float:
        low, high = 0.0, self._largest_tilt()
        if holds(low):
            return low
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high

    def _largest_tilt(self) -> float:
        """Beyond it practically every tilted step is +1, and a stronger tilt gains nothing."""
        rarest = math.log(1e3 * self.total) + float(np.max(self.log_zero, initial=0.0))
        return max(1.0, rarest - self.eps0 + 1.0)

    def tilted(self, tilt: float) -> TiltedLaw:
        """Law of the sum under the tilt, on a window that misses at most 2 exp(-80) of it."""
        log_mgf, mean, variance = self.moments(tilt)
        # Bernstein's inequality for steps within 2 of their mean.
        reach = 2.0 * TAIL / 3.0
        reach += math.sqrt(reach * reach + 2.0 * TAIL * variance)
        first = max(-self.total, math.floor(mean - reach) - 1)
        last = min(self.total, math.ceil(mean + reach) + 1)
        if last - first >= _MAX_CELLS:
            raise ResolutionError(
                f"{self.total} releases at eps0={self.eps0:g} need {last - first} cells, above {_MAX_CELLS}; "
                "use method='renyi'"
            )
        size = cast("int", next_fast_len(last - first + 1, real=True))
        spectrum, cell_error = self._spectrum(tilt, size)
        # Cell i of the transform holds the sum i modulo size; put the window in order.
        wrapped = np.asarray(irfft(spectrum, size))
        mass = np.roll(wrapped, -(first % size))[: last - first + 1]
        logs = np.abs(self.log_lowest) + self.eps0 + np.log(2.0 + np.exp(self.log_zero)) + 4.0 * tilt + 8.0
        return TiltedLaw(
            eps0=self.eps0,
            tilt=tilt,
            log_scale=log_mgf,
            first=first,
            mass=np.maximum(mass, 0.0),
            cell_error=cell_error,
            exponent_error=8.0 * ULP * float(self.count @ logs),
        )

    def _spectrum(self, tilt: float, size: int) -> tuple[NDArray[np.complex128], float]:
        """Fourier transform of the tilted law at `size` // 2 + 1 frequencies; bound on each cell's error."""
        down, zero, up = self.step(tilt)[0]
        angle = 2.0 * math.pi / size * np.arange(size // 2 + 1)
        log_factors = []
        for step_down, step_zero, step_up in zip(down, zero, up, strict=True):
            real = step_zero + (step_up + step_down) * np.cos(angle)
            factor = real + 1j * (step_down - step_up) * np.sin(angle)
            with np.errstate(divide="ignore"):
                log_factors.append(np.maximum(np.log(np.abs(factor)), _LEAST_LOG) + 1j * np.angle(factor))
        total = sum(count * log for count, log in zip(self.count, log_factors, strict=True))
        # One factor is off by a few ulps absolutely, plus what rounding its tilted probabilities does; the power
        # multiplies that, and the exponential sees the rounding of its argument.
        per_factor = ULP * (
            16.0 + 4.0 * (self.eps0 + 2.0 * tilt) * np.minimum(1.0, 2.0 * (1.0 - np.max([down, zero, up], 0)))
        )
        error = np.zeros(len(angle))
        for count, log, unit in zip(self.count, log_factors, per_factor, strict=True):
            error += count * unit * np.exp((total - log).real)
            error += 4.0 * ULP * count * np.abs(log) * np.exp(total.real)
        error += 8.0 * ULP * math.log2(2.0 * size) * np.exp(total.real)
        return np.exp(total), 2.0 * float(error.sum()) / size
