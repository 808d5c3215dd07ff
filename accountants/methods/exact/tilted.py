"""An exponentially tilted loss law on a lattice, and what it says about delta with every rounding counted."""

import math
from dataclasses import dataclass

import numpy as np

from accountants.errors import ResolutionError
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

TAIL = 80.0  # -log of the tilted mass that may lie outside the window: 2e-35
_WORST_SHARE = 0.01  # of delta that rounding may make up
_SUM_ERROR = 32.0 * ULP  # relative, of a pairwise sum of at most 2^22 positive terms and what goes into them


@dataclass(frozen=True, slots=True)
class TiltedLaw:
    """Law of the loss in steps of eps0; true probability of i = exp(log_scale - tilt i) * tilted mass of i.

    Attributes:
        eps0: loss per step.
        tilt: exponential tilt per step, >= 0.
        log_scale: log moment generating function at the tilt.
        first: sum that the first entry of `mass` stands for.
        mass: tilted probabilities on the window.
        cell_error: bound on the absolute error of every entry.
        exponent_error: bound on the error of log_scale - tilt i in the window.
    """

    eps0: float
    tilt: float
    log_scale: float
    first: int
    mass: FloatArray
    cell_error: float
    exponent_error: float

    def log_delta(self, epsilon: float) -> tuple[float, float]:
        """Certified interval around log delta(epsilon)."""
        start = max(math.floor(epsilon / self.eps0) + 1, self.first)
        if start >= self.first + len(self.mass):
            raise self._outside(f"epsilon={epsilon!r}")
        offset, decay, mass = self._from(start)
        # Rounding of i eps0 acts like a shift of epsilon; delta has slope at most its upper mass.
        shift = 8.0 * ULP * max(epsilon, self.eps0)
        gain = -np.expm1(np.minimum(epsilon - (start + offset) * self.eps0, 0.0))
        value, error = float(np.sum(mass * gain)), self._error(decay * gain)
        self._require_resolved(value, error)
        error += 2.0 * shift * float(mass.sum()) + _SUM_ERROR * value
        scale = self.log_scale - self.tilt * start
        slack = self.exponent_error + 8.0 * ULP * (8.0 + abs(scale))
        lower = scale + math.log(value - error) - slack if value > error else -math.inf
        return lower, min(0.0, scale + math.log(value + error) + slack)

    def solve(self, log_delta: float, *, sign: float) -> float:
        """Smallest epsilon >= 0 where the certified upper (+1) or lower (-1) end is at most this delta."""
        # Cell j is ((j - 1) eps0, j eps0]; find the first whose right end is low enough.
        low, high = max(self.first, 0) - 1, self.first + len(self.mass)
        if sign < 0.0:
            # Far left of the root the lower end drowns in rounding: walk left from the estimate.
            high = self._first_low_enough(low, high, log_delta, 0.0)
            stride = 1
            while high - stride > low and self._is_low_enough(high - stride, log_delta, sign):
                stride *= 2
            low = max(low, high - stride)
        high = self._first_low_enough(low, high, log_delta, sign)
        if high <= 0:
            return 0.0
        if high == self.first:  # the root lies left of the window: nothing is known about it
            raise self._outside(f"log delta={log_delta:.6g}")
        if high == self.first + len(self.mass):
            raise self._outside(f"log delta={log_delta:.6g}")
        return max(0.0, high * self.eps0 + self._inside_cell(high, log_delta, sign))

    def _first_low_enough(self, low: int, high: int, log_delta: float, sign: float) -> int:
        """Bisection between a cell that is not low enough and one that is (or the end of the window)."""
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is_low_enough(middle, log_delta, sign) else (middle, high)
        return high

    def _is_low_enough(self, cell: int, log_delta: float, sign: float) -> bool:
        """Whether the certified end of delta(cell * eps0) is at most the target."""
        offset, decay, mass = self._from(cell)
        gain = -np.expm1(-self.eps0 * offset)
        value = float(np.sum(mass * gain))
        error = self._error(decay * gain) + _SUM_ERROR * value
        return value + sign * error <= self._target(cell, log_delta, sign)

    def _inside_cell(self, cell: int, log_delta: float, sign: float) -> float:
        """Root minus cell * eps0, in [-eps0, 0]: there delta(eps) = A - exp(eps - cell * eps0) B exactly."""
        offset, decay, mass = self._from(cell)
        target = self._target(cell, log_delta, sign)
        discount = np.exp(-self.eps0 * offset)
        total, slope = float(mass.sum()), float(np.sum(mass * discount))
        # The unknown error of a cell enters A and B alike, so that both move together.
        outside = 4.0 * math.exp(-TAIL)
        total_end = total + sign * (self.cell_error * float(decay.sum()) + outside)
        slope_end = slope + sign * self.cell_error * float(np.sum(decay * discount))
        left = total_end - target + sign * _SUM_ERROR * total
        if left <= 0.0 or slope_end <= 0.0:
            return -self.eps0
        root = min(max(math.log(left / slope_end) + sign * _SUM_ERROR, -self.eps0), 0.0)
        gain = -np.expm1(np.minimum(root - self.eps0 * offset, 0.0))
        self._require_resolved(target, self._error(decay * gain))
        return root

    def _target(self, cell: int, log_delta: float, sign: float) -> float:
        """The target delta in units of exp(log_scale - tilt * cell), moved to the safe side."""
        exponent = log_delta - self.log_scale + self.tilt * cell
        slack = self.exponent_error + 8.0 * ULP * (8.0 + abs(log_delta) + abs(exponent))
        return math.exp(min(700.0, exponent - sign * slack))

    def _from(self, cell: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The window from `cell` on: offsets, exp(-tilt * offset), and mass times that."""
        offset = np.arange(self.first + len(self.mass) - cell, dtype=float)
        decay = np.exp(-self.tilt * offset)
        return offset, decay, self.mass[cell - self.first :] * decay

    def _error(self, weights: FloatArray) -> float:
        """Bound on the error of a sum of cells with weights at most 1: rounding, and mass outside."""
        return self.cell_error * float(weights.sum()) + 4.0 * math.exp(-TAIL)

    def _require_resolved(self, value: float, error: float) -> None:
        if not error <= _WORST_SHARE * value:  # also when something is not a number
            share = error / value if value > 0.0 else math.inf
            raise ResolutionError(f"rounding makes up {share:.2g} of delta at eps0={self.eps0:g}; use method='renyi'")

    def _outside(self, what: str) -> ResolutionError:
        return ResolutionError(f"{what} lies outside the window of the exact law; use method='renyi'")
