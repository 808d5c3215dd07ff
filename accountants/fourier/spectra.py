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

from accountants.errors import ResolutionError
from accountants.fourier.quadrature import LOG_TAIL, Atoms, Panels

__all__ = ["Ceiling", "Cumulants", "GaussianSpectrum", "Lines", "SampledSpectrum", "Spectrum"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.intp]

_ULP = 2.0**-53
_MAX_LINES = 3e7  # nodes times frequencies of lines, a multiplication each; some tenths of a second
_MORE_LINES = 3e5  # the same for every further event
_MAX_BOUNDS = 1e6  # nodes times frequencies of bounds, an exponential each; a tenth of a second
_MORE_BOUNDS = 1.5e4  # the same for every further event
_BLOCK = 2**19  # numbers held at a time
_VARIANCE = 1.01  # far above what quadrature can miss of a variance
_LOG_FINE = math.log(1e-12)  # mass that all events together may leave out of their lines
_LOG_COARSE = math.log(1e-2)  # the same where only a bound on the modulus is wanted
_SMALLEST_ATOM = 1e-19  # weight of nodes that may be dropped
_SMALLEST_COARSE = 1e-4  # the same, divided by the number of events, where only a bound on the modulus is wanted
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
    """Tilted characteristic function at m * step, m = 0, 1, ...: log modulus, phase, and log of a bound that counts errors.

    |true - computed| <= e^worst - e^log_modulus, at every line; `log` is the log moment that belongs to it.
    """

    log: float
    log_modulus: FloatArray
    phase: FloatArray
    worst: FloatArray


@runtime_checkable
class Spectrum(Protocol):
    """The summed loss of a group of events, in one direction."""

    def cumulants(self, tilt: float) -> Cumulants:
        """Log moment, tilted mean and tilted variance."""
        ...

    def error(self, tilt: float) -> float:
        """Bound on the error of that log moment."""
        ...

    def lines(self, tilt: float, step: float, count: int) -> Lines:
        """Tilted characteristic function at 0, step, ..., count * step."""
        ...

    def ceiling(self, tilt: float, start: float, end: float) -> Ceiling:
        """Bound on its modulus over intervals between `start` and `end`."""
        ...

    def beyond(self, tilt: float, omega: float) -> float:
        """Log of a bound on its modulus from omega on; falls with omega."""
        ...


class GaussianSpectrum:
    """One Gaussian of mean distance mu, in closed form: the loss is N(mu^2 / 2, mu^2)."""

    def __init__(self, mu: float) -> None:
        self.square = mu * mu

    def cumulants(self, tilt: float) -> Cumulants:
        """Log moment, tilted mean and tilted variance."""
        log = 0.5 * self.square * tilt * (1.0 + tilt)
        return Cumulants(log, self.square * (0.5 + tilt), self.square)

    def error(self, tilt: float) -> float:
        """Bound on the error of that log moment."""
        return 32.0 * _ULP * self.cumulants(tilt).log

    def lines(self, tilt: float, step: float, count: int) -> Lines:
        """Tilted characteristic function at equal steps."""
        omega = step * np.arange(count + 1, dtype=np.float64)
        log_modulus = -0.5 * self.square * omega * omega
        known = self.cumulants(tilt)
        phase = np.multiply(known.mean, omega)
        worst = log_modulus + 32.0 * _ULP * (known.log - log_modulus + phase)
        return Lines(known.log, log_modulus, phase, worst)

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
        effort: factor on the work that may be done.
    """

    def __init__(self, counts: Mapping[tuple[float, float], int], sign: int, effort: float = 1.0) -> None:
        pairs = sorted(counts, key=lambda pair: -counts[pair] * (pair[1] / pair[0]) ** 2)  # large variances first
        self.sigma = np.array([pair[0] for pair in pairs])
        self.q = np.array([pair[1] for pair in pairs])
        self.count = np.array([counts[pair] for pair in pairs], dtype=float)
        self.sign, self.effort = sign, effort
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

    def lines(self, tilt: float, step: float, count: int) -> Lines:
        """Tilted characteristic function at equal steps."""
        exponent, omega = self._exponent(tilt), step * count
        panels = Panels(self.q, self.sigma, (exponent, exponent), omega, self._log_tail(_LOG_FINE))
        found = panels.moments(exponent)
        atoms = panels.atoms(found, _SMALLEST_ATOM)
        if len(atoms.loss) * count > self.effort * (_MAX_LINES + _MORE_LINES * len(self.q)):
            raise ResolutionError(f"{count} lines of {len(atoms.loss)} nodes are too many; use method='lattice'")
        error = panels.error(exponent, found, omega) + 2.0 * atoms.dropped
        spectra = self._powers(atoms, step, count)
        modulus = np.abs(spectra)
        # Rounding of the powers of e^(i step loss) by repeated multiplication.
        worst = modulus + error[:, None] + 8.0 * _ULP * np.arange(count + 1)
        with np.errstate(divide="ignore"):
            log_modulus = np.log(modulus)
        phase = self.count @ np.angle(spectra)
        # Sums over events round with every term.
        ulps = _ULP * (16.0 + len(self.q))
        log_worst = self.count @ np.log(worst)
        log_worst += ulps * (self.count @ (np.abs(np.angle(spectra)) - np.maximum(log_modulus, -700.0)))
        return Lines(math.fsum(self.count * found.log), self.count @ log_modulus, phase, log_worst)

    def _powers(self, atoms: Atoms, step: float, count: int) -> ComplexArray:
        """Characteristic functions, shape (events, count + 1), by powers of e^(i step loss)."""
        turn = np.exp(1j * self.sign * step * atoms.loss)
        size = min(count, max(1, _BLOCK // len(turn)))
        powers = np.cumprod(np.broadcast_to(turn, (size, len(turn))), axis=0)
        spectra = np.ones((len(self.q), count + 1), dtype=complex)
        state = atoms.weight.astype(complex)
        for first in range(1, count + 1, size):
            block = powers[: min(size, count + 1 - first)] * state
            spectra[:, first : first + len(block)] = np.add.reduceat(block, atoms.starts, axis=1).T
            state = block[-1]
        return spectra

    def ceiling(self, tilt: float, start: float, end: float) -> Ceiling:
        """The modulus at the middle of an interval plus what it can change by.

        Its slope is at most the standard deviation of the loss, and at most the frequency times its variance. Far out,
        a few events are enough.
        """
        exponent = self._exponent(tilt)
        spread = self._panels_up_to(tilt).moments(exponent).variance
        share = np.cumsum(self.count * np.minimum(0.2, 0.15 * start * start * spread))
        used = min(len(self.q), int(np.searchsorted(share, _ENOUGH)) + 1)
        q, sigma, count = self.q[:used], self.sigma[:used], self.count[:used]
        panels = Panels(q, sigma, (exponent, exponent), end, self._log_tail(_LOG_COARSE), self._coarse_order)
        found = panels.moments(exponent)
        atoms = panels.atoms(found, _SMALLEST_COARSE / float(self.count.sum()))
        error = panels.error(exponent, found, end) + 2.0 * atoms.dropped
        variance = _VARIANCE * found.variance
        deviation = np.sqrt(variance)

        def log_bound(left: float, right: float) -> float:
            self._work += float(len(atoms.loss))
            if self._work > self.effort * (_MAX_BOUNDS + _MORE_BOUNDS * len(self.q)):
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
            self.q, self.sigma, (exponent, exponent), _CUTS / math.sqrt(float(np.median(variance))), order=8
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
            self._rough = largest, Panels(self.q, self.sigma, ends, 0.0, order=self._coarse_order)
        return self._rough[1]
