"""The summed loss of Poisson-sampled Gaussians, by quadrature with proven errors."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.special import log_ndtr, ndtri_exp

from accountants.errors import ResolutionError
from accountants.methods.fourier.equispaced import departures
from accountants.methods.fourier.panels import LOG_TAIL
from accountants.methods.fourier.quadrature import Moments, Panels
from accountants.methods.fourier.spectrum import Ceiling, Cumulants, Lines
from accountants.numerics.array_kinds import ComplexArray, FloatArray, IntArray
from accountants.numerics.rounding import ULP

_SPECIAL = 1e-9  # relative, far above the rounding of normal tails and their sum
_VARIANCE = 1.01  # far above what quadrature can miss of a variance
_LOG_NOTHING = -600.0  # a log of a modulus that counts as 0

# Work that is refused, so that the lattice is asked instead.
_MAX_LINES = 1.2e7  # events times frequencies; some seconds
_MAX_LONG, _LONG = 2e6, 2**14  # the same where transforms are longer than this and slower; about a second
_MAX_BOUNDS = 1e6  # nodes times frequencies of bounds, an exponential each; a tenth of a second
_MORE_BOUNDS, _MOST_BOUNDS = 8e4, 1e8  # the same for every further event; for all of them, some seconds

# How the lines are computed.
_BLOCK = 2**17  # events times frequencies held at a time
_TOGETHER = 64  # events at most
_SMALLEST_ATOM = 1e-22  # weight of nodes that may be dropped

# How the modulus is bounded over an interval of frequencies.
_LOG_COARSE = math.log(1e-2)  # mass that all events together may leave out
_SMALLEST_COARSE = 1e-4  # weight of nodes that may be dropped, divided by the number of events
_COARSE_COUNT = 1e7  # events up to which eight Gauss nodes, good for 1e-9, tell a modulus from 1
_RARE = 0.2  # mass of large losses that may be cut off, of what the modulus has fallen to and has fallen by
_LEAST = 0.02  # what the modulus of one event is taken to be at least
_ENOUGH = 60.0  # -log modulus at which further events are not looked at

# How it is bounded from a frequency on.
_TELLING = 500.0  # releases that bound the modulus
_CUTS = 3.0  # the more, the finer the places at which the density of the loss may be cut
_RARELY = 0.02  # mass of large losses that is left out at most
_LOG_FLOOR = -300.0  # log of what that leaves of all moduli together, at least


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
        # An added record costs at most what its absence from every sample tells.
        self.largest = math.inf if sign > 0 else -float(self.count @ np.log1p(-self.q)) * (1.0 + _SPECIAL)
        self._work = 0.0
        self._cuts: dict[float, tuple[FloatArray, FloatArray, IntArray]] = {}
        self._coarse_order = 8 if self.count.sum() < _COARSE_COUNT else 16
        self._rough: tuple[float, Panels] | None = None
        self._latest: tuple[float, tuple[Panels, Moments, FloatArray]] | None = None

    def cumulants(self, tilt: float) -> Cumulants:
        found = self._panels_up_to(tilt).moments(self._exponent(tilt))
        mean = self.sign * float(self.count @ found.mean)
        return Cumulants(float(self.count @ found.log), mean, float(self.count @ found.variance))

    def error(self, tilt: float) -> float:
        panels, exponent = self._panels_up_to(tilt), self._exponent(tilt)
        found = panels.moments(exponent)
        relative = np.log1p(panels.error(exponent, found, 0.0))
        return float(self.count @ relative) + 4.0 * ULP * float(self.count @ np.abs(found.log))

    def lines(self, tilt: float, step: float, count: int, precision: float) -> Lines:
        if len(self.q) * count > (_MAX_LINES if count <= _LONG else _MAX_LONG):
            raise ResolutionError(f"{count} lines of {len(self.q)} events are too many; use method='lattice'")
        total = Lines(0.0, 0.0, *np.zeros((3, count + 1)))
        size = max(1, min(_TOGETHER, _BLOCK // (count + 1)))
        for first in range(0, len(self.q), size):
            total = self._multiplied(total, slice(first, first + size), tilt, step, precision)
        return total

    def _multiplied(self, total: Lines, some: slice, tilt: float, step: float, precision: float) -> Lines:
        """A product of characteristic functions, times those of some events."""
        exponent, frequencies = self._exponent(tilt), step * np.arange(len(total.phase))
        count, omega = self.count[some], float(frequencies[-1])
        log_tail = self._log_tail(math.log(precision))
        panels = Panels(self.q[some], self.sigma[some], (exponent, exponent), omega, log_tail, cut=self.cut[some])
        found = panels.moments(exponent)
        atoms = panels.atoms(found, _SMALLEST_ATOM)
        # Powers of a factor near 1 are wanted: what is computed is the factor less 1, whose error is small beside itself.
        fixed, rising = panels.departure_error(exponent, found, omega)
        turned, *rounding = departures(
            self.sign * atoms.loss,
            atoms.weight,
            np.repeat(np.arange(len(count)), np.diff(np.append(atoms.starts, len(atoms.loss)))),
            len(count),
            step,
            len(frequencies) - 1,
            precision / float(self.count.sum()),
        )
        error = (fixed + 2.0 * atoms.dropped + rounding[0])[:, None] + (rising + rounding[1])[:, None] * frequencies
        _multiply(total, count, turned, error)
        log = math.fsum(count * found.log)
        log_error = float(count @ np.log1p(panels.error(exponent, found, 0.0))) + 4.0 * ULP * abs(log)
        return replace(
            total, log=total.log + log, log_error=total.log_error + log_error + 2.0 * ULP * abs(total.log + log)
        )

    def ceiling(self, tilt: float, start: float, end: float) -> Ceiling:
        """The modulus at the middle of an interval, plus what it can change by, bounds it over the interval.

        Its slope is at most the standard deviation of the loss, and at most the frequency times its variance. Few large
        losses would make both large and need most of the nodes: they are cut off, and their mass is added instead. Far
        out, a few events are enough.
        """
        exponent = self._exponent(tilt)
        rough, found, tails = self._rough_laws(tilt)
        # First what the modulus is about at the start: it says which events matter and how much mass may be cut off.
        there = np.clip(rough.modulus(found, start), _LEAST, 1.0)
        used = min(len(self.q), int(np.searchsorted(np.cumsum(-self.count * np.log(there)), _ENOUGH)) + 1)
        cut, beyond = rough.upper_cut(tails, _RARE * there * (1.0 - there))
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

        # Then the bound itself, on panels that are fine enough for all of the interval.
        def log_bound(left: float, right: float) -> float:
            self._work += float(len(atoms.loss))
            if self._work > min(_MAX_BOUNDS + _MORE_BOUNDS * len(self.q), _MOST_BOUNDS):
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
        return float(self.count[: len(starts)] @ np.log(np.minimum(1.0, best)))

    def _cuts_at(self, tilt: float) -> tuple[FloatArray, FloatArray, IntArray]:
        """For a cut at the left end of every panel: mass left out, and six times the supremum of h right of it.

        Some hundred releases tell enough; no modulus of the others is above 1. Few large losses are left out as well.
        """
        exponent = self._exponent(tilt)
        rough, found, tails = self._rough_laws(tilt)
        omega = _CUTS / math.sqrt(float(np.median(found.variance)))
        used = int(np.searchsorted(np.cumsum(self.count), _TELLING)) + 1
        allowed = min(_RARELY, math.exp(_LOG_FLOOR / float(self.count.sum())))
        cut, above = rough.upper_cut(tails, np.full(len(self.q), allowed))
        cut = np.minimum(self.cut, cut)[:used]
        panels = Panels(self.q[:used], self.sigma[:used], (exponent, exponent), omega, order=8, cut=cut)
        found = panels.moments(exponent)
        error = panels.error(exponent, found, 0.0)[panels.owner]
        within = np.minimum(1.0, panels.from_each_on(found.weight.reshape(-1, 8).sum(axis=1), np.add))
        log_height = panels.from_each_on(panels.log_density(exponent, found.log), np.maximum)
        return 1.0 - within + error + above[panels.owner], 6.0 * np.exp(np.minimum(log_height, 600.0)), panels.first

    def _rough_laws(self, tilt: float) -> tuple[Panels, Moments, FloatArray]:
        """Rough panels, the tilted laws on them and the mass from every panel on; those of the latest tilt are kept."""
        if self._latest is None or self._latest[0] != tilt:
            panels, exponent = self._panels_up_to(tilt), self._exponent(tilt)
            found = panels.moments(exponent)
            self._latest = tilt, (panels, found, panels.tails(exponent, found))
        return self._latest[1]

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
    relative = (error + 8.0 * ULP * np.abs(departures)) * np.exp(-log_modulus)
    total.log_modulus[:] += count @ log_modulus
    total.phase[:] += count @ phase
    # Sums over events round with every term.
    ulps = ULP * (16.0 + len(count))
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
