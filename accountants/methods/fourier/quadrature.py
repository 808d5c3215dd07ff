"""Gauss-Legendre panels for moments of the likelihood ratio of Poisson-sampled Gaussians, with proven error bounds.

For x ~ N(0, sigma^2) the ratio of the mixture to its base is r(x) = 1 - q + q e^((2x - 1) / (2 sigma^2)). All that is
ever needed is E[r^s] for complex s: a removed record has s = 1 + z, an added one s = -z. Many events are held in flat
arrays, so that a thousand cost little more than one.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import log_ndtr

from accountants.methods.fourier.panels import ACROSS, ELLIPSE, LENGTHWAYS, LOG_TAIL, log_ratio, panel_edges, reach
from accountants.numerics.array_kinds import FloatArray, IntArray
from accountants.numerics.rounding import ULP

_LOG_GAUSS = math.log(64.0 / 15.0) - math.log1p(-(ELLIPSE**-2))  # less 2 log(ellipse) per node of a panel
_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Moments:
    """Tilted laws of the losses at one real exponent.

    Attributes:
        log: log E[r^s] per event.
        weight: tilted probability of every node; sums to 1 over the nodes of an event.
        mean: tilted mean of log r per event.
        variance: tilted variance of log r per event.
    """

    log: FloatArray
    weight: FloatArray
    mean: FloatArray
    variance: FloatArray


@dataclass(frozen=True, slots=True)
class Atoms:
    """The nodes that carry mass.

    Attributes:
        loss: log r.
        weight: tilted probability.
        starts: first node of every event.
        dropped: mass that was left out, per event.
    """

    loss: FloatArray
    weight: FloatArray
    starts: IntArray
    dropped: FloatArray


class Panels:
    """Nodes at which E[r^(s + i omega)] is summed, for real s in a range and |omega| up to a limit.

    Args:
        q: sampling probabilities in (0, 1), shape (events,).
        sigma: noise multipliers, > 0, shape (events,).
        exponents: smallest and largest real s; both >= 1 or both <= 0.
        omega: largest |imaginary part of s|; one for all events, or one for each.
        log_tail: log of the relative mass that may be left out, and of the error that quadrature may make, about.
        order: Gauss nodes per panel.
        cut: x beyond which an event's law is cut off, shape (events,); infinite where it is not.

    Raises:
        ResolutionError: too many nodes would be needed.

    Source of the error bound: Trefethen, Approximation Theory and Approximation Practice, theorem 19.3.
    """

    def __init__(
        self,
        q: FloatArray,
        sigma: FloatArray,
        exponents: tuple[float, float],
        omega: float | FloatArray,
        log_tail: float = LOG_TAIL,
        order: int = 16,
        cut: float | FloatArray = math.inf,
    ) -> None:
        self.q, self.sigma, self.order = q, sigma, order
        self.low, self.high = reach(q, sigma, exponents, log_tail)
        self.is_cut = self.high >= cut
        self.high = np.minimum(self.high, cut)
        edges, owner = panel_edges(q, sigma, self.low, self.high, exponents, omega, order, log_tail)
        self.centre = 0.5 * (edges[0] + edges[1])
        self.half = 0.5 * (edges[1] - edges[0])
        self.owner = owner  # event of every panel
        points, weights = _gauss(order)
        x = (self.centre[:, None] + self.half[:, None] * points).ravel()
        node_owner = np.repeat(owner, order)
        # Events lie one after the other in flat arrays; `first` and `starts` say where the panels and nodes of each begin.
        self.first = np.searchsorted(owner, np.arange(len(q)))
        self.starts = self.first * order
        scale = sigma[node_owner]
        self.loss = log_ratio(x, q[node_owner], scale)
        # Rounding of the losses in ulps: the exponent's own rounding counts that many times.
        self.doubt = (8.0 + 2.0 * np.abs((x - 0.5) / (scale * scale))) * np.abs(self.loss)
        self.terms = order + np.diff(np.append(self.first, len(owner)))  # roundings of a sum, per event
        log_step = np.log(self.half[:, None] * weights).ravel()
        self.log_weight = log_step - 0.5 * np.square(x / scale) - np.log(scale) - _LOG_SQRT_2PI
        self.node_owner = node_owner

    def moments(self, exponent: float) -> Moments:
        """Tilted laws at a real s inside the range."""
        logs = self.log_weight + exponent * self.loss
        # Logs first, less the largest of each event: at large tilts the terms themselves overflow.
        top = np.maximum.reduceat(logs, self.starts)
        weight = np.exp(logs - top[self.node_owner])
        total = self._sum(weight)
        weight /= total[self.node_owner]
        mean = self._sum(weight * self.loss)
        spread = np.square(self.loss - mean[self.node_owner])
        return Moments(np.log(total) + top, weight, mean, self._sum(weight * spread))

    def atoms(self, moments: Moments, smallest: float) -> Atoms:
        """The nodes without those that weigh less; most nodes lie where hardly any mass is."""
        kept = moments.weight >= smallest
        kept[self.starts] = True
        starts = np.concatenate([[0], np.cumsum(np.add.reduceat(kept.astype(np.intp), self.starts))[:-1]])
        dropped = np.add.reduceat(np.where(kept, 0.0, moments.weight), self.starts)
        return Atoms(self.loss[kept], moments.weight[kept], starts, dropped)

    def error(self, exponent: float, moments: Moments, omega: float) -> FloatArray:
        """Bound on |error of E[r^(s + i omega)]| / E[r^s] per event, for every |omega| up to the one given.

        Three parts: Gauss quadrature on every panel, by the size of the integrand on an ellipse around it; the mass
        outside the panels; and rounding.
        """
        logs = 16.0 + 2.0 * np.abs(self.log_weight) + (abs(exponent) + omega) * self.doubt
        rounding = self._sum(moments.weight * logs) + 8.0 * np.abs(moments.log) + self.terms
        return self._missed(exponent, moments, omega) + 2.0 * ULP * rounding

    def departure_error(self, exponent: float, moments: Moments, omega: float) -> tuple[FloatArray, FloatArray]:
        """Bound on the error of the tilted mean of r^(i omega) - 1, as two numbers per event.

        The first, plus a frequency times the second, holds up to the given frequency: an error of a weight, relative to
        it, meets |r^(i omega) - 1| <= omega |loss| only.
        """
        logs = 16.0 + 2.0 * np.abs(self.log_weight) + abs(exponent) * self.doubt
        logs += (8.0 * np.abs(moments.log) + self.terms)[self.node_owner]
        rounding = 2.0 * ULP * self._sum(moments.weight * (np.abs(self.loss) * logs + self.doubt))
        return 2.0 * self._missed(exponent, moments, omega), rounding

    def _sum(self, values: FloatArray) -> FloatArray:
        """Per event; panel by panel first, so that fewer rounding errors add up than there are nodes."""
        return np.add.reduceat(values.reshape(-1, self.order).sum(axis=1), self.first)

    def _missed(self, exponent: float, moments: Moments, omega: float) -> FloatArray:
        """What quadrature and the ends of the panels make up."""
        quadrature = np.add.reduceat(
            np.exp(np.minimum(self._log_panel_error(exponent, omega, moments.log), 700.0)), self.first
        )
        high = np.where(self.is_cut, np.inf, self.high)
        return quadrature + np.exp(_log_outside(self.q, self.sigma, self.low, high, exponent) - moments.log)

    def from_each_on(self, values: FloatArray, combine: np.ufunc) -> FloatArray:
        """Per panel: the values of it and of all panels of its event to the right, combined."""
        result = values[::-1].copy()
        # Backwards an event starts at its last panel; accumulate event by event.
        ends = len(values) - self.first[::-1]
        for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
            combine.accumulate(result[start:end], out=result[start:end])
        return result[::-1]

    def modulus(self, moments: Moments, omega: float) -> FloatArray:
        """|tilted mean of r^(i omega)| per event, estimated: the frequency may be larger than the one given."""
        return np.abs(np.add.reduceat(moments.weight * np.exp(1j * omega * self.loss), self.starts))

    def tails(self, exponent: float, moments: Moments) -> FloatArray:
        """Bound on the tilted mass from the left end of every panel on: what its nodes weigh, and their error."""
        error = self.error(exponent, moments, 0.0)[self.owner]
        # That error is relative to the computed moment; twice covers that the true one may be smaller by as much.
        return self.from_each_on(moments.weight.reshape(-1, self.order).sum(axis=1), np.add) + 2.0 * error

    def upper_cut(self, tails: FloatArray, allowed: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The smallest border between panels beyond which an event has at most the allowed mass, and that mass.

        Args:
            tails: as `tails` gives them.
            allowed: tilted mass, shape (events,), at most 1/2.

        Returns:
            x and a bound on the tilted mass beyond it, both of shape (events,); infinity and 0 where no border will do.
        """
        fits = tails <= allowed[self.owner]
        # The tails fall, so that the first that fits is the largest.
        place = np.minimum.reduceat(np.where(fits, np.arange(len(tails)), len(tails)), self.first)
        there = np.minimum(place, len(tails) - 1)
        is_found = (place < len(tails)) & (there > self.first)
        cut = np.where(is_found, (self.centre - self.half)[there], np.inf)
        return cut, np.where(is_found, tails[there], 0.0)

    def log_density(self, exponent: float, log_moment: FloatArray) -> FloatArray:
        """Log of the supremum, over every panel, of the tilted density of the loss as a function of x.

        Its second derivative is >= -curvature, so that its maximum exceeds the larger end by at most
        curvature * (length)^2 / 8.
        """
        sigma, q = self.sigma[self.owner], self.q[self.owner]
        left, right = self.centre - self.half, self.centre + self.half
        power = exponent + 1.0
        ends = np.maximum(
            power * log_ratio(left, q, sigma) - 0.5 * np.square((left + 1.0) / sigma),
            power * log_ratio(right, q, sigma) - 0.5 * np.square((right + 1.0) / sigma),
        )
        curvature = 1.0 / (sigma * sigma) + 0.25 * max(0.0, -power) / sigma**4
        scale = np.log(sigma) - np.log(q) - _LOG_SQRT_2PI + 1.0 / (sigma * sigma) - log_moment[self.owner]
        return ends + 0.5 * curvature * self.half * self.half + scale + 1e-9

    def _log_panel_error(self, exponent: float, omega: float, log_moment: FloatArray) -> FloatArray:
        """Log of: half width * Gauss constant * maximum of |integrand| on the ellipse, relative to E[r^s].

        On x + iy the normal density grows by e^(y^2 / 2 sigma^2) and |r(x + iy)| <= r(x). With the share
        h(x) = q e^(...) / r(x) and the angle t = y / sigma^2, |r(x + iy)| >= r(x) (1 - h (1 - cos t)), which is what a
        negative power needs, and |arg r(x + iy)| <= arctan(h sin t / (1 - h (1 - cos t))). The log of the real
        integrand has second derivative >= -curvature, so that its maximum on an interval exceeds the larger end by at
        most curvature * (length)^2 / 8.
        """
        sigma, q = self.sigma[self.owner], self.q[self.owner]
        aside, rise = LENGTHWAYS * self.half, ACROSS * self.half
        left, right = self.centre - aside, self.centre + aside
        log_right = log_ratio(right, q, sigma)
        ends = np.maximum(
            exponent * log_ratio(left, q, sigma) - 0.5 * np.square(left / sigma),
            exponent * log_right - 0.5 * np.square(right / sigma),
        )
        share = np.exp(np.minimum(0.0, np.log(q) + (right - 0.5) / (sigma * sigma) - log_right))
        angle = rise / (sigma * sigma)
        lost = 1.0 - share * (1.0 - np.cos(angle))
        curvature = 1.0 / (sigma * sigma)
        grown = 0.5 * np.square(rise / sigma) + omega * np.arctan(share * np.sin(angle) / lost)
        if exponent < 0.0:
            curvature = curvature - exponent * np.minimum(0.25, share) / sigma**4
            grown = grown + exponent * np.log(lost)
        size = ends + 0.5 * curvature * aside * aside + grown - np.log(sigma) - _LOG_SQRT_2PI
        return np.log(self.half) + _LOG_GAUSS - 2.0 * self.order * math.log(ELLIPSE) + size - log_moment[self.owner]


@lru_cache(maxsize=4)
def _gauss(order: int) -> tuple[FloatArray, FloatArray]:
    return leggauss(order)


def _log_outside(q: FloatArray, sigma: FloatArray, low: FloatArray, high: FloatArray, exponent: float) -> FloatArray:
    """Log of a bound on E[r^s] over x outside [low, high].

    s >= 1: r <= 1 left of 1/2, and r^s <= 1 - q + q e^(s (2x - 1) / (2 sigma^2)) by convexity.
    s <= 0: r >= 1 - q, and r >= 1 right of 1/2.
    """
    left = log_ndtr(low / sigma)
    if exponent <= 0.0:
        return np.logaddexp(left + exponent * np.log1p(-q), log_ndtr(-high / sigma))
    shifted = log_ndtr((exponent - high) / sigma) + 0.5 * (exponent * exponent - exponent) / (sigma * sigma)
    right = np.logaddexp(np.log1p(-q) + log_ndtr(-high / sigma), np.log(q) + shifted)
    return np.logaddexp(left, right)
