"""What the inversion needs to know about the summed loss of a group of events, one class per kind of event.

Every class answers the same questions about the tilted law of the loss S of all its events together:
`cumulants` (log moment, mean, variance) and `error` (of that log moment), `lines` (its characteristic function at equal
steps), `ceiling` (a bound on the modulus of that function over intervals) and `beyond` (a bound from some frequency on).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

from accountants.errors import ResolutionError
from accountants.fourier.equispaced import departures
from accountants.fourier.quadrature import LOG_TAIL, Panels

__all__ = ["Ceiling", "Cumulants", "GaussianSpectrum", "Lines", "SampledSpectrum", "Spectrum"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.intp]

_ULP = 2.0**-53
_MAX_LINES = 2e6  # events times frequencies; about a second
_MAX_BOUNDS = 1e6  # nodes times frequencies of bounds, an exponential each; a tenth of a second
_MORE_BOUNDS = 1.5e4  # the same for every further event
_SPECIAL = 1e-9  # relative, far above the rounding of normal tails and their sum
_BLOCK = 2**17  # events times frequencies held at a time
_VARIANCE = 1.01  # far above what quadrature can miss of a variance
_LOG_COARSE = math.log(1e-2)  # mass that all events together may leave out where only a bound on the modulus is wanted
_SMALLEST_ATOM = 1e-22  # weight of nodes that may be dropped
_SMALLEST_COARSE = 1e-4  # the same, divided by the number of events, where only a bound on the modulus is wanted
_RARE = 0.1  # mass of large losses that a bound on the modulus may cut off, of what it falls by
_LOG_NOTHING = -600.0  # a log of a modulus that counts as 0
_COARSE_COUNT = 1e7  # events up to which eight Gauss nodes, good for 1e-9, tell a modulus from 1
_ENOUGH = 60.0  # -log modulus at which further events are not looked at
_CUTS = 3.0  # the more, the finer the places at which the density of the loss may be cut


@dataclass(frozen=True, slots=True)
class Cumulants:
    """Of the summed loss: log E e^(tilt S), and tilted mean and variance."""

    log: float
    mean: float
    variance: float


Ceiling = Callable[[float, float], float]
"""(left, right) -> log of a bound on the modulus of the tilted characteristic function between two frequencies."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Tilted characteristic function at m * step, m = 0, 1, ...: log modulus, phase, and the error of both.

    |true - computed| <= e^log_modulus (e^excess - 1) at every line. `log` is the log moment that belongs to it, and
    `log_error` bounds its error.
    """

    log: float
    log_error: float
    log_modulus: FloatArray
    phase: FloatArray
    excess: FloatArray


@runtime_checkable
class Spectrum(Protocol):
    """The summed loss of a group of events, in one direction."""

    missed: float
    """Bound on the P-mass of losses that are cut off at the top, all events together."""

    def cumulants(self, tilt: float) -> Cumulants:
        """Log moment, tilted mean and tilted variance."""
        ...

    def error(self, tilt: float) -> float:
        """Bound on the error of that log moment."""
        ...

    def lines(self, tilt: float, step: float, count: int, precision: float) -> Lines:
        """Tilted characteristic function at 0, step, ..., count * step, relative to its largest value about so precise."""
        ...

    def ceiling(self, tilt: float, start: float, end: float) -> Ceiling:
        """Bound on its modulus over intervals between `start` and `end`."""
        ...

    def beyond(self, tilt: float, omega: float) -> float:
        """Log of a bound on its modulus from omega on; falls with omega."""
        ...


class GaussianSpectrum:
    """One Gaussian of mean distance mu, in closed form: the loss is N(mu^2 / 2, mu^2)."""

    missed = 0.0

    def __init__(self, mu: float) -> None:
        self.square = mu * mu

    def cumulants(self, tilt: float) -> Cumulants:
        """Log moment, tilted mean and tilted variance."""
        log = 0.5 * self.square * tilt * (1.0 + tilt)
        return Cumulants(log, self.square * (0.5 + tilt), self.square)

    def error(self, tilt: float) -> float:
        """Bound on the error of that log moment."""
        return 32.0 * _ULP * self.cumulants(tilt).log

    def lines(self, tilt: float, step: float, count: int, precision: float) -> Lines:
        """Tilted characteristic function at equal steps."""
        omega = step * np.arange(count + 1, dtype=np.float64)
        log_modulus = -0.5 * self.square * omega * omega
        known = self.cumulants(tilt)
        phase = np.multiply(known.mean, omega)
        return Lines(known.log, self.error(tilt), log_modulus, phase, 32.0 * _ULP * (np.abs(phase) - log_modulus))

    def ceiling(self, tilt: float, start: float, end: float) -> Ceiling:
        """The modulus at the left end: it falls."""
        return lambda left, right: self.beyond(tilt, left)

    def beyond(self, tilt: float, omega: float) -> float:
        """The modulus itself: it falls."""
        return -0.5 * self.square * omega * omega * (1.0 - 32.0 * _ULP)


class SampledSpectrum:
    """Poisson-sampled Gaussians under add-remove, all removing their record or all adding it.

    Args:
        counts: (sigma, q) -> number of times.
        sign: +1 where the record is removed, so that losses are log r under the mixture; -1 where it is added, so that
            they are -log r under the base.
        log_cut: log of the P-mass of losses that may be cut off at the top, all events together; -inf for none. Only
            removed records have losses without a limit.
    """

    def __init__(
        self,
        counts: Mapping[tuple[float, float], int],
        sign: int,
        log_cut: float = -math.inf,
    ) -> None:
        pairs = sorted(counts, key=lambda pair: -counts[pair] * (pair[1] / pair[0]) ** 2)  # large variances first
        self.sigma = np.array([pair[0] for pair in pairs])
        self.q = np.array([pair[1] for pair in pairs])
        self.count = np.array([counts[pair] for pair in pairs], dtype=float)
        self.sign = sign
        self.cut, self.missed = _cut_off(self.q, self.sigma, self.count, log_cut if sign > 0 else -math.inf)
        self._work = 0.0
        self._cuts: dict[float, tuple[FloatArray, FloatArray, IntArray]] = {}
        self._coarse_order = 8 if self.count.sum() < _COARSE_COUNT else 16
        self._rough: tuple[float, Panels] | None = None

    def cumulants(self, tilt: float) -> Cumulants:
        """Log moment, tilted mean and tilted variance."""
        found = self._panels_up_to(tilt).moments(self._exponent(tilt))
        mean = self.sign * float(self.count @ found.mean)
        return Cumulants(float(self.count @ found.log), mean, float(self.count @ found.variance))

    def error(self, tilt: float) -> float:
        """Bound on the error of that log moment."""
        panels, exponent = self._panels_up_to(tilt), self._exponent(tilt)
        found = panels.moments(exponent)
        relative = np.log1p(panels.error(exponent, found, 0.0))
        return float(self.count @ relative) + 4.0 * _ULP * float(self.count @ np.abs(found.log))

    def lines(self, tilt: float, step: float, count: int, precision: float) -> Lines:
        """Tilted characteristic function at equal steps."""
        exponent, omega = self._exponent(tilt), step * count
        panels = Panels(
            self.q, self.sigma, (exponent, exponent), omega, self._log_tail(math.log(precision)), cut=self.cut
        )
        found = panels.moments(exponent)
        atoms = panels.atoms(found, _SMALLEST_ATOM)
        if len(self.q) * count > _MAX_LINES:
            raise ResolutionError(f"{count} lines of {len(self.q)} events are too many; use method='lattice'")
        fixed, rising = panels.departure_error(exponent, found, omega)
        fixed += 2.0 * atoms.dropped
        frequencies = step * np.arange(count + 1)
        log_error = float(self.count @ np.log1p(panels.error(exponent, found, 0.0)))
        log = math.fsum(self.count * found.log)
        total = Lines(log, log_error + 4.0 * _ULP * abs(log), *np.zeros((3, count + 1)))
        size = max(1, _BLOCK // (count + 1))
        ends = np.append(atoms.starts, len(atoms.loss))
        for first in range(0, len(self.q), size):
            last = min(first + size, len(self.q))
            nodes = slice(ends[first], ends[last])
            owner = np.repeat(np.arange(last - first), np.diff(ends[first : last + 1]))
            found_here, *rounding = departures(
                self.sign * atoms.loss[nodes],
                atoms.weight[nodes],
                owner,
                last - first,
                step,
                count,
                precision / float(self.count.sum()),
            )
            error = (fixed[first:last] + rounding[0])[:, None] + (rising[first:last] + rounding[1])[
                :, None
            ] * frequencies
            _multiply(total, self.count[first:last], found_here, error)
        return total

    def ceiling(self, tilt: float, start: float, end: float) -> Ceiling:
        """The modulus at the middle of an interval plus what it can change by.

        Its slope is at most the standard deviation of the loss, and at most the frequency times its variance. Few large
        losses would make both large and need most of the nodes: they are cut off, and their mass is added instead. Far
        out, a few events are enough.
        """
        exponent = self._exponent(tilt)
        rough = self._panels_up_to(tilt)
        found = rough.moments(exponent)
        fall = np.minimum(0.2, 0.15 * start * start * found.variance)  # about that of one modulus at the start
        used = min(len(self.q), int(np.searchsorted(np.cumsum(self.count * fall), _ENOUGH)) + 1)
        cut, beyond = rough.upper_cut(exponent, found, _RARE * fall)
        q, sigma, count = self.q[:used], self.sigma[:used], self.count[:used]
        panels = Panels(
            q,
            sigma,
            (exponent, exponent),
            end,
            self._log_tail(_LOG_COARSE),
            self._coarse_order,
            np.minimum(self.cut, cut)[:used],
        )
        found = panels.moments(exponent)
        atoms = panels.atoms(found, _SMALLEST_COARSE / float(self.count.sum()))
        error = panels.error(exponent, found, end) + 2.0 * atoms.dropped + beyond[:used]
        variance = _VARIANCE * found.variance
        deviation = np.sqrt(variance)

        def log_bound(left: float, right: float) -> float:
            self._work += float(len(atoms.loss))
            if self._work > _MAX_BOUNDS + _MORE_BOUNDS * len(self.q):
                raise ResolutionError("bounding the characteristic function takes too long; use method='lattice'")
            turned = atoms.weight * np.exp(0.5j * (left + right) * atoms.loss)
            modulus = np.abs(np.add.reduceat(turned, atoms.starts))
            change = 0.5 * (right - left) * np.minimum(deviation, right * variance)
            return float(count @ np.log(np.minimum(1.0, modulus + error + change)))

        return log_bound

    def beyond(self, tilt: float, omega: float) -> float:
        """|characteristic function| <= (mass left of a cut) + (variation of the density right of it) / omega, any cut.

        In terms of x the density of the loss is h(x) = (sigma^2 / q) e^(1 / sigma^2) N(x; -1, sigma^2) r(x)^(s + 1)
        / E[r^s]. Its log has derivative ((s + 1) share(x) - x - 1) / sigma^2 with at most three zeros, as the share is
        logistic. Between two cuts there are at most three maxima, ends included: integration by parts gives 6 sup h.
        """
        if tilt not in self._cuts:
            self._cuts[tilt] = self._cuts_at(tilt)
        missed, height, starts = self._cuts[tilt]
        best = np.minimum.reduceat(missed + height / omega, starts)
        return float(self.count @ np.log(np.minimum(1.0, best)))

    def _cuts_at(self, tilt: float) -> tuple[FloatArray, FloatArray, IntArray]:
        """For a cut at the left end of every panel: mass left out, and six times the supremum of h right of it."""
        exponent = self._exponent(tilt)
        variance = self._panels_up_to(tilt).moments(exponent).variance
        panels = Panels(
            self.q,
            self.sigma,
            (exponent, exponent),
            _CUTS / math.sqrt(float(np.median(variance))),
            order=8,
            cut=self.cut,
        )
        found = panels.moments(exponent)
        error = panels.error(exponent, found, 0.0)[panels.owner]
        within = np.minimum(1.0, panels.from_each_on(found.weight.reshape(-1, 8).sum(axis=1), np.add))
        log_height = panels.from_each_on(panels.log_density(exponent, found.log), np.maximum)
        return 1.0 - within + error, 6.0 * np.exp(np.minimum(log_height, 600.0)), panels.first

    def _log_tail(self, log_share: float) -> float:
        """Log of the mass that each event's panels may miss, so that all events together lose at most this share."""
        return max(LOG_TAIL, log_share - math.log(float(self.count.sum())))

    def _exponent(self, tilt: float) -> float:
        return 1.0 + tilt if self.sign > 0 else -tilt

    def _panels_up_to(self, tilt: float) -> Panels:
        """Panels for every tilt up to this one, remembered."""
        if self._rough is None or tilt > self._rough[0]:
            largest = 8.0
            while largest < tilt:
                largest *= 4.0
            ends = (1.0, 1.0 + largest) if self.sign > 0 else (-largest, 0.0)
            self._rough = largest, Panels(self.q, self.sigma, ends, 0.0, order=self._coarse_order, cut=self.cut)
        return self._rough[1]


def _multiply(total: Lines, count: FloatArray, departures: ComplexArray, error: FloatArray) -> None:
    """Multiply characteristic functions, given less 1 and raised to powers, into a product of logs and phases."""
    real, imaginary = departures.real, departures.imag
    change = 2.0 * real + real * real + imaginary * imaginary
    log_modulus = 0.5 * np.log1p(np.maximum(change, -0.5))
    small = change < -0.5  # the sum above cancels there
    log_modulus[small] = np.log(np.maximum(np.abs(1.0 + departures[small]), math.exp(_LOG_NOTHING)))
    phase = np.arctan2(imaginary, 1.0 + real)
    relative = (error + 8.0 * _ULP * np.abs(departures)) * np.exp(-log_modulus)
    total.log_modulus[:] += count @ log_modulus
    total.phase[:] += count @ phase
    # Sums over events round with every term.
    ulps = _ULP * (16.0 + len(count))
    total.excess[:] += count @ np.log1p(relative) + ulps * (count @ (np.abs(phase) - log_modulus))


def _cut_off(q: FloatArray, sigma: FloatArray, count: FloatArray, log_mass: float) -> tuple[FloatArray, float]:
    """Where each event's law is cut off, and a bound on the mass of all that is lost there: at most e^log_mass.

    Beyond x the mixture has less than Phi(-x / sigma) + q Phi((1 - x) / sigma).
    """
    if log_mass == -math.inf:
        return np.full(len(q), math.inf), 0.0
    log_each = log_mass - math.log(2.0 * float(count.sum()))
    from_base = -sigma * ndtri_exp(min(log_each, -1.0))
    from_shifted = 1.0 - sigma * ndtri_exp(np.minimum(log_each - np.log(q), -1.0))
    cut = np.maximum(from_base, from_shifted)
    lost = np.exp(log_ndtr(-cut / sigma)) + q * np.exp(log_ndtr((1.0 - cut) / sigma))
    return cut, float(count @ lost) * (1.0 + _SPECIAL)
