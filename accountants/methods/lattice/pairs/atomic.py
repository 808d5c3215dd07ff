"""Pairs whose loss lies on a lattice of its own: randomized responses and integer-valued noise."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from accountants.errors import ResolutionError
from accountants.methods.lattice.pairs.pair import Atoms, SymmetricPair
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

_TAIL = 1e-290  # P-mass that may be missing in cells, where no tail is asked for
_MAX_ATOMS = 2**21


class AtomicPair(SymmetricPair):
    """A symmetric pair with losses on the lattice (integer + 0 or 1/2) * spacing."""

    __slots__ = ()

    @property
    def edge_error(self) -> float:
        # Atoms are placed by value here, and by index in `atoms`.
        low, high = self.range_under_p(_TAIL, _TAIL)
        return 4.0 * ULP * max(-low, high)

    @property
    @abstractmethod
    def spacing(self) -> float:
        """Nats between neighbouring losses."""

    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        losses = self.atoms(max(min(below, above), _TAIL)).losses
        return float(losses[0]), float(losses[-1])

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        atoms = self.atoms(_TAIL)
        losses = atoms.losses
        cell = np.searchsorted(edges, losses, side="left")
        q = atoms.p[::-1]  # symmetry: Q(L = l) = P(L = -l)
        count = len(edges) + 1
        return np.asarray(np.bincount(cell, atoms.p, count), float), np.asarray(np.bincount(cell, q, count), float)


@dataclass(frozen=True, slots=True)
class ResponsePair(AtomicPair):
    """Loss +eps0, 0 or -eps0.

    Attributes:
        eps0: nats, > 0.
        up: P-mass of the loss +eps0.
        down: P-mass of the loss -eps0, up * e^-eps0.
        rest: P-mass of the loss 0.
    """

    eps0: float
    up: float
    down: float
    rest: float

    @property
    def spacing(self) -> float:
        return self.eps0

    @property
    def anchor(self) -> tuple[float, float] | None:
        return -self.eps0, self.eps0

    def atoms(self, tail: float) -> Atoms:
        return Atoms(self.eps0, 0.0, -1, np.array([self.down, self.rest, self.up]), 0.0)


def response_pair(k: int, eps0: float) -> ResponsePair:
    """Pair of k-ary randomized response with keep odds e^eps0 : 1.

    Example:
        >>> round(response_pair(2, 1.0).up, 6)
        0.731059
    """
    odds = math.exp(-eps0)
    share = 1.0 / (1.0 + (k - 1) * odds)
    return ResponsePair(eps0, share, odds * share, (k - 2) * odds * share)


def subset_pair(k: int, d: int, eps0: float) -> ResponsePair:
    """Pair of subset selection: a d-subset of k symbols, with odds e^eps0 that it holds the true one.

    Example:
        >>> subset_pair(5, 1, 1.0) == response_pair(5, 1.0)
        True
    """
    if d == 1:
        return response_pair(k, eps0)
    odds = math.exp(-eps0)
    total = d + (k - d) * odds
    other = d * (k - d) / (k - 1)  # of the symbols' pairs: exactly one of the two is in the subset
    up, down = other / total, other * odds / total
    both = (d * (d - 1) + (k - d) * (k - d - 1) * odds) / ((k - 1) * total)
    return ResponsePair(eps0, up, down, both)


@dataclass(frozen=True, slots=True)
class DiscreteLaplacePair(AtomicPair):
    """Integer noise with P(x) proportional to e^(-rate |x|), shifted by an integer: losses rate (s - 2j), j = 0..s.

    Attributes:
        rate: > 0.
        sensitivity: the shift s, >= 1.
    """

    rate: float
    sensitivity: int

    @property
    def spacing(self) -> float:
        return 2.0 * self.rate

    @property
    def anchor(self) -> tuple[float, float] | None:
        return -self.rate * self.sensitivity, self.rate * self.sensitivity

    def atoms(self, tail: float) -> Atoms:
        shift = self.sensitivity
        if shift >= _MAX_ATOMS:
            raise ResolutionError(f"sensitivity={shift} gives more than {_MAX_ATOMS} losses; use method='renyi'")
        odds = math.exp(-self.rate)
        # P(x <= 0) = 1 / (1 + e^-rate) has the largest loss; x = 1 .. s-1 in between; P(x >= s) the smallest.
        x = np.arange(shift, -1.0, -1.0)
        p = np.exp(-self.rate * x) * (-math.expm1(-self.rate)) / (1.0 + odds)
        p[0] = math.exp(-self.rate * shift) / (1.0 + odds)
        p[-1] = 1.0 / (1.0 + odds)
        offset = 0.5 * (shift % 2)
        return Atoms(self.spacing, offset, -(shift // 2) - shift % 2, p, 0.0)


@dataclass(frozen=True, slots=True)
class DiscreteGaussianPair(AtomicPair):
    """Integer noise with P(x) proportional to e^(-x^2 / (2 sigma^2)), shifted by an integer s.

    The loss at x is s (s/2 - x) / sigma^2, on the lattice of step s / sigma^2.

    Attributes:
        sigma: parameter of the noise, > 0.
        sensitivity: the shift s, >= 1.
    """

    sigma: float
    sensitivity: int

    @property
    def spacing(self) -> float:
        return self.sensitivity / self.sigma / self.sigma

    def atoms(self, tail: float) -> Atoms:
        return _discrete_gaussian(self.sigma, self.sensitivity, tail)


@lru_cache(maxsize=64)
def _discrete_gaussian(sigma: float, sensitivity: int, tail: float) -> Atoms:
    """Atoms symmetric around loss 0, so that the reversed array is the law under Q."""
    # P(|x| > r) <= 4 P(|N(0, sigma^2)| > r - 1) for sigma >= 1/2; for smaller sigma the first term says it all.
    reach = math.ceil(sigma * (1.0 - float(ndtri(max(tail, 1e-300) / 8.0)))) + 2 + sensitivity
    if 2 * reach >= _MAX_ATOMS:
        raise ResolutionError(f"sigma={sigma:g} gives more than {_MAX_ATOMS} integers; use method='renyi'")
    x = np.arange(reach + sensitivity, -reach - 1, -1, dtype=np.float64)  # loss grows as x falls
    half = np.exp(-0.5 * (np.arange(1, int(40.0 * sigma) + 3) / sigma) ** 2)
    total = 1.0 + 2.0 * float(half[::-1].sum())
    p = np.exp(-0.5 * (x / sigma) ** 2) / total
    # index (s/2 - x) runs over integers + s/2
    offset = 0.5 * (sensitivity % 2)
    first = -(reach + sensitivity) + sensitivity // 2
    outside = math.exp(-0.5 * ((reach + 1.0) / sigma) ** 2) / total
    ratio = math.exp(-(reach + 1.0) / sigma / sigma)  # bounds the quotient of neighbouring masses out there
    beyond = 2.0 * outside / (1.0 - ratio) + 1e-300
    return Atoms(sensitivity / sigma / sigma, offset, first, p, beyond)
