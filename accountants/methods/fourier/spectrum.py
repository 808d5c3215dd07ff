"""What the inversion needs to know about the summed loss of a group of events, and Gaussians, which know it in closed form."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

_CLOSED = 32.0 * ULP  # relative rounding of a closed form


@dataclass(frozen=True, slots=True)
class Cumulants:
    """Cumulants of the summed loss: log E e^(tilt S), and tilted mean and variance."""

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
    """The summed loss S of a group of events in one direction, under its law tilted by e^(tilt S)."""

    missed: float
    """Bound on the P-mass of losses that are cut off at the top, all events together."""
    largest: float
    """No loss is above this, nats."""

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
    largest = math.inf

    def __init__(self, mu: float) -> None:
        self.square = mu * mu

    def cumulants(self, tilt: float) -> Cumulants:
        log = 0.5 * self.square * tilt * (1.0 + tilt)
        return Cumulants(log, self.square * (0.5 + tilt), self.square)

    def error(self, tilt: float) -> float:
        return _CLOSED * self.cumulants(tilt).log

    def lines(self, tilt: float, step: float, count: int, precision: float) -> Lines:
        omega = step * np.arange(count + 1, dtype=np.float64)
        log_modulus = -0.5 * self.square * omega * omega
        known = self.cumulants(tilt)
        phase = np.multiply(known.mean, omega)
        return Lines(known.log, self.error(tilt), log_modulus, phase, _CLOSED * (np.abs(phase) - log_modulus))

    def ceiling(self, tilt: float, start: float, end: float) -> Ceiling:
        return lambda left, right: self.beyond(tilt, left)  # the modulus falls

    def beyond(self, tilt: float, omega: float) -> float:
        return -0.5 * self.square * omega * omega * (1.0 - _CLOSED)
