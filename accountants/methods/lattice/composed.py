"""What a composed law of the privacy loss says about epsilon and delta, with every error counted."""

import math
from dataclasses import dataclass

import numpy as np

from accountants.errors import ResolutionError
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

_WORST_SHARE = 0.01  # of delta that numerical error may make up
_AT_TOP = 1e-9  # nats, relative: epsilon this close to the largest loss is as good as there, whatever delta is
_STEEP = 3.0  # decay from one cell to the next above which chunks would be short
_CHUNK = 300.0  # log of the largest weight within a chunk of a sum


class TooNoisy(ResolutionError):
    """Rounding drowns delta; another step will hardly help."""


@dataclass(frozen=True, slots=True, eq=False)
class ComposedLaw:
    """The sum of many losses under the tilted measure, on a window of its lattice.

    Its P-mass at x is e^(log_scale - tilt x) times the tilted mass. For epsilon in (x_(i-1), x_i] therefore
    delta(epsilon) = e^(log_scale - tilt x_i) (gains_i + (1 - e^(epsilon - x_i)) sums_i).

    Attributes:
        step: nats between the points.
        points: losses x_i, increasing, shape (n,).
        gains: sum over j >= i of mass_j e^(-tilt (x_j - x_i)) (1 - e^(-(x_j - x_i))), shape (n,).
        sums: sum over j >= i of mass_j e^(-(tilt + 1) (x_j - x_i)), shape (n,).
        tilt: per nat, > 0.
        log_scale: log moment generating function of the sum at the tilt.
        cell_error: bound on the absolute error of every tilted mass.
        above: bound on the tilted mass above the window, counted twice: it is missing there and wrapped to the bottom.
        below: bound on the tilted mass below the window, which is wrapped to the top.
        wrapped: bound on what that does to delta, if smaller.
        relative: bound on the relative error of delta through rounding of masses, exponents and sums.
        infinity: P-mass of infinite loss; 0 for laws from below.
        shift: nats, how far the true losses may be on the unsafe side.
        is_whole: whether the window holds every finite loss.
        has_top: whether it holds the largest finite loss, which is then the last point.
    """

    step: float
    points: FloatArray
    gains: FloatArray
    sums: FloatArray
    tilt: float
    log_scale: float
    cell_error: float
    above: float
    below: float
    wrapped: float
    relative: float
    infinity: float
    shift: float
    is_whole: bool
    has_top: bool

    def delta(self, epsilon: float, *, sign: float) -> tuple[float, float]:
        """Certified end of delta at a finite epsilon.

        Args:
            epsilon: nats.
            sign: +1.0 for the upper end (of laws from above), -1.0 for the lower end (of laws from below).

        Returns:
            (delta in [0, 1], numerical error that is part of it).

        Raises:
            ResolutionError: epsilon lies outside the window, or numerical error exceeds 1 % of delta.
        """
        at = epsilon - sign * self.shift
        index = int(np.searchsorted(self.points, at, side="left"))
        if index == len(self.points) and self.has_top:
            return (self.infinity, self.infinity) if sign > 0.0 else (0.0, 0.0)
        if index == len(self.points) or (index == 0 and not self.is_whole):
            raise self._outside(f"epsilon={epsilon:g}")
        value, error = self._at(at, index)
        self._require_resolved(error + self.infinity, value, at)
        return min(1.0, max(0.0, value + sign * error + self.infinity)), error + self.infinity

    def epsilon(self, delta: float, *, sign: float) -> tuple[float, float]:
        """Certified end of the smallest epsilon >= 0 with delta(epsilon) <= delta.

        Args:
            delta: target, in (0, 1).
            sign: as for `delta`.

        Returns:
            (epsilon in nats, numerical error that is part of delta there).

        Raises:
            ResolutionError: epsilon lies outside the window, or numerical error exceeds 1 % of delta.
        """
        if delta <= self.infinity:
            return math.inf, self.infinity
        scale = np.exp(np.minimum(self.log_scale - self.tilt * self.points, 700.0))
        values = self.gains * scale
        if sign > 0.0:
            values = values * (1.0 + self.relative) + self._error(self.points) + self.infinity
        if not np.isfinite(values).all():
            raise ResolutionError("the composed law is not finite in floats; use method='renyi'")
        is_beyond = np.flatnonzero(values > delta)
        index = int(is_beyond[-1]) + 1 if len(is_beyond) else 0
        if index == len(self.points) or (index == 0 and not self.is_whole and self.points[0] + sign * self.shift > 0.0):
            raise self._outside(f"delta={delta:g}")
        root = self._root(delta, index, sign)
        numeric = self._at(root, index)[1] + self.infinity
        root += sign * (self.shift + 4.0 * ULP * abs(root))
        if root > 0.0:
            self._require_resolved(numeric, delta, root)
        return max(0.0, root), numeric

    def _root(self, delta: float, index: int, sign: float) -> float:
        """A point in the cell below points[index] that is certainly beyond the root, as close to it as rounding lets."""
        high = float(self.points[index])
        # Left of all losses the formula of the first cell holds as well; below 0 nothing is asked.
        low = float(self.points[index - 1]) if index else min(high, 0.0) - self.shift
        left = low
        for _ in range(80):
            middle = 0.5 * (low + high)
            if middle in (low, high):
                break
            value, error = self._at(middle, index)
            above = value + error + self.infinity if sign > 0.0 else value
            low, high = (middle, high) if above > delta else (low, middle)
        if sign > 0.0:
            return high
        # The error grows to the left too: walk away from where delta would be reached without it.
        walk = 4.0 * ULP * max(abs(low), 1e-300)
        while low - walk > float(self.points[0]):
            value, error = self._at(low - walk, int(np.searchsorted(self.points, low - walk, side="left")))
            if value - error > delta:
                return low - walk
            walk *= 1.5
        if self.points[0] > 0.0 and not self.is_whole:
            raise self._outside(f"delta={delta:g}")
        return min(left, 0.0)

    def _at(self, epsilon: float, index: int) -> tuple[float, float]:
        """Delta and the bound on its error, for an epsilon in the cell below a point."""
        ahead = float(self.points[index]) - epsilon
        value = float(self.gains[index]) - math.expm1(-ahead) * float(self.sums[index])
        value *= math.exp(min(700.0, self.log_scale - self.tilt * float(self.points[index])))
        return value, float(self._error(float(epsilon), ahead)) + self.relative * value

    def _error(self, at: float | FloatArray, ahead: float = 0.0) -> float | FloatArray:
        """Bound on the absolute error of delta at these epsilons, `ahead` below a point, without the relative part."""
        step, share = self.step, 1.0 / (1.0 + self.tilt)
        # A sum over points of e^(-tilt a) (1 - e^-a), a >= ahead. The summand has one maximum, below `share`: the sum is at
        # most the integral and the maximum. On coarse lattices the geometric series itself is smaller.
        decay, faster = -math.expm1(-self.tilt * step), -math.expm1(-(self.tilt + 1.0) * step)
        series = math.exp(-self.tilt * ahead) * (1.0 / decay - math.exp(-ahead) / faster) + 1e-15 / decay
        cells = min(share / (step * self.tilt) + share, series, float(len(self.points)))
        scale = np.exp(np.minimum(self.log_scale - self.tilt * at, 700.0))
        below = np.minimum(scale * self.below * share, self.wrapped)
        error = scale * (self.cell_error * cells + self.above * share) + below
        return float(error) if isinstance(at, float) else error

    def _require_resolved(self, error: float, value: float, at: float) -> None:
        """Refuse ends that are mostly numerical error, but for the last rounding error below the largest loss."""
        top = float(self.points[-1])
        is_at_top = self.has_top and abs(top - at) <= _AT_TOP * (1.0 + abs(top))
        if not error <= _WORST_SHARE * value and not is_at_top:  # also when something is not a number
            share = error / value if value > 0.0 else math.inf
            raise TooNoisy(f"numerical error makes up {share:.2g} of delta; use method='renyi'")

    def _outside(self, what: str) -> ResolutionError:
        return ResolutionError(f"{what} lies outside the window of the transform; use method='renyi'")


def decayed_gains(mass: FloatArray, step: float, tilt: float) -> tuple[FloatArray, FloatArray]:
    """`gains` and `sums` of a `ComposedLaw`, by positive sums only.

    Args:
        mass: tilted masses on neighbouring points, >= 0, shape (n,).
        step: nats between the points.
        tilt: per nat.

    Example:
        >>> gains, sums = decayed_gains(np.array([0.5, 0.5]), 1.0, 1.0)
        >>> gains.round(6), sums.round(6)
        (array([0.116272, 0.      ]), array([0.567668, 0.5     ]))
    """
    sums = _decayed(mass, (tilt + 1.0) * step)
    # From one point to the next everything is discounted once more, and what was there starts to gain.
    started = np.append(sums[1:], 0.0) * (-math.expm1(-step) * math.exp(-tilt * step))
    return _decayed(started, tilt * step), sums


def _decayed(terms: FloatArray, decay: float) -> FloatArray:
    """Sum over j >= i of terms_j e^(-decay (j - i)), in chunks whose weights stay in range."""
    if decay > _STEEP:
        # Few terms count: weights beyond e^-745 are 0 as floats.
        found = terms.copy()
        for shift in range(1, min(len(terms), math.ceil(745.0 / decay) + 1)):
            found[:-shift] += math.exp(-decay * shift) * terms[shift:]
        return found
    found = np.empty_like(terms)
    length = len(terms) if decay * len(terms) <= _CHUNK else max(1, int(_CHUNK / decay))
    weights = np.exp(-decay * np.arange(min(length, len(terms))))
    carried = 0.0
    for end in range(len(terms), 0, -length):
        start = max(0, end - length)
        weight = weights[: end - start]
        inner = np.cumsum((terms[start:end] * weight)[::-1])[::-1] / weight
        found[start:end] = inner + carried * math.exp(-decay) * weight[::-1]
        carried = float(found[start])
    return found
