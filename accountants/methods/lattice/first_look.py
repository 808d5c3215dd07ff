"""A first look at a composition: where delta comes from, how far to tilt, which window of losses to keep.

Everything here is planning: the numbers steer the work and may be off. What is reported is bounded afresh from the laws
that are really composed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accountants.methods.lattice.law import LatticeLaw
from accountants.numerics.array_kinds import FloatArray

_OFTEN = np.geomspace(0.01, 300.0, 45)  # tilts, in units of one over the standard deviation of the sum
_ALIAS = math.log(1e-7)  # of delta that each side of the window may cost
_LEAST_TILT = 0.02
_MOST_TILT = 1e9  # in the same units
_SETTLED = (
    1e-4  # of the variance: a tilted law this narrow sits on its highest point, and a stronger tilt gains nothing
)


@dataclass(frozen=True, slots=True)
class Window:
    """What to transform.

    Attributes:
        tilt: exponential tilt, per nat, > 0.
        low: lowest loss of interest.
        high: losses above are left out.
        right: extra tilt that bounds the mass above `high`.
        left: less tilt that bounds the mass below `low`.
    """

    tilt: float
    low: float
    high: float
    right: float
    left: float


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Estimates from coarse laws.

    Attributes:
        saddle: tilt under which the sum of losses is `epsilon` on average.
        epsilon: nats, where delta is read off; may be negative.
        spread: standard deviation of the tilted sum.
        log_delta: estimate at `epsilon`.
        window: tilt and window for the transform.
    """

    saddle: float
    epsilon: float
    spread: float
    log_delta: float
    window: Window


def log_mgf(law: LatticeLaw, tilts: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log sum_j f_j e^(tilt x_j), its first and second derivative in the tilt; each of the shape of `tilts`."""
    used = np.flatnonzero(law.mass)
    points = law.points[used]
    exponent = np.multiply.outer(tilts, points) + np.log(law.mass[used])
    top = exponent.max(axis=1)
    weights = np.exp(exponent - top[:, None])
    total = weights.sum(axis=1)
    mean = weights @ points / total
    square = weights @ (points * points) / total
    return top + np.log(total), mean, np.maximum(square - mean * mean, 1e-30 * square + 1e-300)


def look(
    laws: Sequence[LatticeLaw],
    counts: Sequence[int],
    *,
    log_delta: float | None = None,
    epsilon: float | None = None,
) -> FirstLook:
    """Plan the composition for the epsilon of a delta, or for the delta of an epsilon; one of the two is given.

    Args:
        laws: laws of one release each.
        counts: how often each is released.
        log_delta: target; or
        epsilon: target, nats.
    """

    def goal(curve: _Curve) -> FloatArray:
        """What the best tilt makes smallest: the saddle-point estimate of epsilon, or of log delta."""
        estimate = curve.log_mgf - np.log(2.0 + curve.tilt * (1.0 + curve.tilt) * np.sqrt(2.0 * np.pi * curve.variance))
        if epsilon is not None:
            values = estimate - curve.tilt * epsilon
        else:
            assert log_delta is not None
            values = (estimate - log_delta) / curve.tilt
        return np.where(curve.variance >= _SETTLED * variance, values, np.inf)

    variance = float(_Curve.of(laws, counts, np.zeros(1)).variance[0])
    unit = 1.0 / math.sqrt(variance)
    curve = _Curve.of(laws, counts, np.maximum(_OFTEN * unit, _LEAST_TILT * np.linspace(1.0, 2.0, len(_OFTEN))))
    best = int(np.argmin(goal(curve)))
    while best == len(curve.tilt) - 1 and curve.tilt[-1] < _MOST_TILT * unit:
        curve = curve.joined(_Curve.of(laws, counts, curve.tilt[-1] * np.geomspace(1.3, 30.0, 13)))
        best = int(np.argmin(goal(curve)))
    around = curve.tilt[max(best - 1, 0)], curve.tilt[min(best + 1, len(curve.tilt) - 1)]
    curve = curve.joined(_Curve.of(laws, counts, np.geomspace(*around, 15)[1:-1]))
    values = goal(curve)
    best = int(np.argmin(values))
    highest = math.fsum(count * law.ends[1] for law, count in zip(laws, counts, strict=True))
    at = min(max(float(values[best]), 0.0) if epsilon is None else epsilon, highest)
    target = min(float(values[best]), 0.0) if log_delta is None else log_delta
    # tilts below 0 bound the left tail
    curve = curve.joined(_Curve.of(laws, counts, np.append(0.0, -unit * np.geomspace(0.5, 30.0, 12))))
    best += 13
    spread = math.sqrt(float(curve.variance[best]))
    window = _window(curve, best, at, spread, target)
    return FirstLook(float(curve.tilt[best]), at, spread, target, window)


@dataclass(frozen=True, slots=True, eq=False)
class _Curve:
    """Cumulants of the sum at increasing tilts, each of shape (n,)."""

    tilt: FloatArray
    log_mgf: FloatArray
    variance: FloatArray

    @classmethod
    def of(cls, laws: Sequence[LatticeLaw], counts: Sequence[int], tilts: FloatArray) -> "_Curve":
        total, variance = np.zeros_like(tilts), np.zeros_like(tilts)
        for law, count in zip(laws, counts, strict=True):
            logs, _, square = log_mgf(law, tilts)
            total += count * logs
            variance += count * square
        return cls(tilts, total, variance)

    def joined(self, other: "_Curve") -> "_Curve":
        tilts = np.concatenate([self.tilt, other.tilt])
        order = np.argsort(tilts, kind="stable")
        return _Curve(
            tilts[order],
            np.concatenate([self.log_mgf, other.log_mgf])[order],
            np.concatenate([self.variance, other.variance])[order],
        )


def _window(curve: _Curve, saddle: int, epsilon: float, spread: float, log_delta: float) -> Window:
    """The shortest window that keeps aliasing below tolerance, over tilts around the saddle."""
    tilts, log_mgfs = curve.tilt, curve.log_mgf
    best: tuple[float, Window] | None = None
    least = int(np.searchsorted(tilts, 0.0)) + 1
    for index in range(max(saddle - 10, least), min(saddle + 4, len(tilts) - 1)):
        tilt, now = float(tilts[index]), float(log_mgfs[index])
        allowed = min(_ALIAS + log_delta - (now - tilt * epsilon) + math.log1p(tilt), -1.0)  # of the tilted law
        rises, falls = tilts[index + 1 :] - tilt, tilt - tilts[:index]
        is_apart = rises > 1e-3 * tilt
        with np.errstate(divide="ignore"):
            highs = np.where(is_apart, (log_mgfs[index + 1 :] - now - allowed) / rises, np.inf)
            lows = np.where(falls > 1e-3 * tilt, -(log_mgfs[:index] - now - allowed) / falls, -np.inf)
        right, left = int(np.argmin(highs)), int(np.argmax(lows))
        margin = 1.0 * spread + 0.05 * (1.0 + tilt) / tilt
        high = max(float(highs[right]), epsilon + margin)
        # Mass from below the window comes back one length higher, with a weight of e^(-tilt length).
        low = max(float(lows[left]), high - (1.0 - _ALIAS - log_delta) / tilt)
        low = min(low, epsilon - margin)
        window = Window(tilt, low, high, float(rises[right]), float(falls[left]))
        if best is None or high - low < best[0]:
            best = (high - low, window)
    if best is None:
        raise FloatingPointError("no tilt is left to choose from")
    return best[1]
