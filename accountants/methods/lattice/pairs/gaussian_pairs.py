"""Pairs made of Gaussians: one shift, the replace-one pair of a Poisson sample, and the pair of a sampled group."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, ndtri

from accountants.methods.lattice.pairs.normal_cells import normal_cells
from accountants.methods.lattice.pairs.pair import Pair, SymmetricPair
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

_FARTHEST = 40.0  # standard deviations; no float tail mass lies beyond


@dataclass(frozen=True, slots=True)
class GaussianPair(SymmetricPair):
    """N(1, sigma^2) against N(0, sigma^2); the loss is N(mu^2/2, mu^2) under P with mu = 1/sigma.

    Attributes:
        sigma: noise standard deviation / L2 sensitivity, > 0.
    """

    sigma: float

    @property
    def edge_error(self) -> float:
        shift = 1.0 / self.sigma
        return 8.0 * ULP * (1.0 + _FARTHEST * shift + shift * shift)

    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        mean = 0.5 / self.sigma
        return (mean + _quantile(below)) / self.sigma, (mean - _quantile(above)) / self.sigma

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        middle = edges * self.sigma
        return normal_cells(middle - 0.5 / self.sigma), normal_cells(middle + 0.5 / self.sigma)


@dataclass(frozen=True, slots=True)
class AntipodalPair(SymmetricPair):
    """(1-q) N(0, sigma^2) + q N(1, sigma^2) against (1-q) N(0, sigma^2) + q N(-1, sigma^2).

    The pair of the Poisson-sampled Gaussian under replace-one, sigma relative to the norm of one record's
    contribution. It dominates every pair of contributions g, g' in the unit ball: for gamma >= 1 the hockey-stick
    divergence is q int (N_g - gamma N_g' - c N_0)_+ with c = (1-q)(gamma-1)/q >= 0. Under N_g the likelihood ratios
    are e^X, e^Y with jointly Gaussian exponents whose covariance has the entries |g-g'|^2, |g|^2 and <g-g', g>.
    E(1 - gamma e^X - c e^Y)_+ is nondecreasing in each entry (Kahane's comparison: F_xx - F_x and F_xy are >= 0
    because t -> (1-t)_+ is convex), and all three are largest at g' = -g, |g| = 1. gamma < 1 follows by symmetry.

    Attributes:
        sigma: noise standard deviation / norm of one contribution, > 0.
        q: sampling probability, in (0, 1).
    """

    sigma: float
    q: float

    @property
    def edge_error(self) -> float:
        shift = 1.0 / self.sigma
        return 32.0 * ULP * (1.0 + _FARTHEST * shift + shift * shift)

    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        low = _quantile(below) * self.sigma
        high = max(-_quantile(0.5 * above) * self.sigma, 1.0 - _quantile(0.5 * above / self.q) * self.sigma)
        return self._loss(low), self._loss(high)

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        # With u = e^(x/sigma^2) the edge solves a quadratic: x = sigma^2 (t/2 + asinh((1-q) sinh(t/2) / (q c))).
        log_c = -0.5 / self.sigma**2
        log_ratio = math.log1p(-self.q) - math.log(self.q) - log_c
        half = 0.5 * edges
        size = np.abs(half)
        with np.errstate(divide="ignore"):
            log_sinh = np.where(size > 0.0, size + np.log(-np.expm1(-2.0 * size)) - math.log(2.0), -np.inf)
        log_argument = log_ratio + log_sinh
        # asinh(e^v) = v + log(1 + sqrt(1 + e^(-2v))), and for negative v from e^v itself
        small = np.arcsinh(np.exp(np.minimum(log_argument, 0.0)))
        large = log_argument + np.log1p(np.sqrt(1.0 + np.exp(-2.0 * np.maximum(log_argument, 0.0))))
        root = np.where(log_argument < 0.0, small, large)
        z = self.sigma * (half + np.sign(half) * root)
        shift = 1.0 / self.sigma
        center, up, down = normal_cells(z), normal_cells(z - shift), normal_cells(z + shift)
        return (1.0 - self.q) * center + self.q * up, (1.0 - self.q) * center + self.q * down

    def _loss(self, x: float) -> float:
        square = self.sigma**2
        stay, move = math.log1p(-self.q), math.log(self.q)
        up, down = move + (x - 0.5) / square, move + (-x - 0.5) / square
        return float(np.logaddexp(stay, up) - np.logaddexp(stay, down))


@dataclass(frozen=True, slots=True)
class GroupPair(Pair):
    """sum_j Binomial(size, q)(j) N(j, sigma^2) against N(0, sigma^2): a group of records in one Poisson batch.

    Attributes:
        sigma: noise standard deviation / L2 sensitivity of one record, > 0.
        q: sampling probability of each record, in (0, 1).
        size: records in the group, >= 1.

    Source: mixture of Gaussians mechanism, Choquette-Choo et al. 2023.
    """

    sigma: float
    q: float
    size: int

    @property
    def edge_error(self) -> float:
        shift = self.size / self.sigma
        return 64.0 * ULP * (1.0 + _FARTHEST * shift + shift * shift)

    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        share = 1.0 / (self.size + 1)
        low, high = _quantile(below) * self.sigma, -math.inf
        for moved, log_weight in enumerate(self._log_weights()):
            quantile = _quantile(min(0.5, math.exp(math.log(above * share) - log_weight)))
            high = max(high, moved - quantile * self.sigma)
        return self._loss(low), self._loss(high)

    def range_under_q(self, below: float, above: float) -> tuple[float, float]:
        return self._loss(_quantile(below) * self.sigma), self._loss(-_quantile(above) * self.sigma)

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        z = self._positions(edges) / self.sigma
        base = normal_cells(z)
        mixed = math.exp(self._log_weights()[0]) * base
        for moved, log_weight in enumerate(self._log_weights()[1:], start=1):
            mixed = mixed + math.exp(log_weight) * normal_cells(z - moved / self.sigma)
        return mixed, base

    def _log_weights(self) -> FloatArray:
        moved = np.arange(self.size + 1)
        log_choose = gammaln(self.size + 1) - gammaln(moved + 1) - gammaln(self.size - moved + 1)
        log_choose[0] = log_choose[-1] = 0.0
        return log_choose + moved * math.log(self.q) + (self.size - moved) * math.log1p(-self.q)

    def _loss(self, x: float) -> float:
        moved = np.arange(self.size + 1)
        return float(np.logaddexp.reduce(self._log_weights() + moved * (x - 0.5 * moved) / self.sigma**2))

    def _positions(self, edges: FloatArray) -> FloatArray:
        """Where the loss takes these values; -inf where it never does.

        Newton on log sum_{j>=1} w_j e^(j(x - j/2)/sigma^2) = log(e^t - w_0): convex with a slope between 1 and
        `size` over sigma^2, so that the second and all later steps come monotonically from the right.
        """
        log_weights = self._log_weights()
        stay = math.exp(log_weights[0])
        with np.errstate(over="ignore"):
            excess = np.where(edges > -0.7, np.expm1(edges) + (1.0 - stay), np.exp(edges) - stay)
        if self.size * self.q < 0.5:  # then 1 - stay cancels
            moved_mass = -math.expm1(self.size * math.log1p(-self.q))
            with np.errstate(over="ignore"):
                excess = np.where(edges > -0.7, np.expm1(edges) + moved_mass, excess)
        found = np.full(len(edges), -np.inf)
        reached = np.flatnonzero(excess > 0.0)
        if not len(reached):
            return found
        large = edges[reached] > 30.0
        target = np.where(large, edges[reached], np.log(excess[reached]))
        moved = np.arange(1.0, self.size + 1)[:, None]
        square = self.sigma**2
        constant = log_weights[1:, None] - 0.5 * moved * moved / square
        x = square * (target - log_weights[1]) + 0.5  # the root if one record were all
        for _ in range(60):
            terms = constant + moved * (x / square)
            top = terms.max(axis=0)
            weights = np.exp(terms - top)
            total = weights.sum(axis=0)
            excess_log = top + np.log(total) - target
            change = excess_log * square * total / (weights * moved).sum(axis=0)
            x = x - change
            if float(np.max(np.abs(change) - 4.0 * ULP * (np.abs(x) + square))) <= 0.0:
                break
        found[reached] = x
        return found


def _quantile(mass: float) -> float:
    """Standard normal quantile, moved outwards by more than its rounding."""
    if mass >= 1.0:
        return _FARTHEST
    return max(float(ndtri(mass)), -_FARTHEST) - 1e-9
