"""What sampling makes of any pair: Poisson batches, and the amplified curve of fixed-size batches."""

import math
from dataclasses import dataclass

import numpy as np

from accountants.methods.lattice.pairs.pair import Pair, SymmetricPair
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP


@dataclass(frozen=True, slots=True)
class SampledPair(Pair):
    """(1-q) Q0 + q P0 against Q0: a record that is in the batch with probability q is removed.

    The loss is log(1 - q + q e^L0), a monotone function of the loss L0 of (P0, Q0), so that cells of one are cells of
    the other.

    Attributes:
        base: the pair (P0, Q0).
        q: sampling probability, in (0, 1).

    Source: Zhu, Dong, Wang 2022, theorem 11.
    """

    base: Pair
    q: float

    @property
    def edge_error(self) -> float:
        # The slope of the loss in L0 is at most 1.
        return self.base.edge_error + 8.0 * ULP * (1.0 - math.log(self.q) - math.log1p(-self.q))

    @property
    def anchor(self) -> tuple[float, float] | None:
        anchor = self.base.anchor
        return None if anchor is None else (self._loss(anchor[0]), self._loss(anchor[1]))

    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        stay_low, stay_high = self.base.range_under_q(0.5 * below, 0.5 * above)
        share = 0.5 / self.q
        move_low, move_high = self.base.range_under_p(min(0.5, share * below), min(0.5, share * above))
        return self._loss(min(stay_low, move_low)), self._loss(max(stay_high, move_high))

    def range_under_q(self, below: float, above: float) -> tuple[float, float]:
        low, high = self.base.range_under_q(below, above)
        return self._loss(low), self._loss(high)

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        p, q = self.base.masses(self._base_edges(edges))
        return (1.0 - self.q) * q + self.q * p, q

    def _loss(self, base_loss: float) -> float:
        if base_loss < 30.0:
            return math.log1p(self.q * math.expm1(base_loss))
        return float(np.logaddexp(math.log1p(-self.q), math.log(self.q) + base_loss))

    def _base_edges(self, edges: FloatArray) -> FloatArray:
        """L0 at these losses; -inf at and below log(1 - q)."""
        near = np.minimum(edges, 30.0)
        # Whatever is subtracted below is exact up to an ulp of e^t, so that the error in terms of t is an ulp.
        excess = np.where(near > -0.5, np.expm1(near) + self.q, np.exp(near) - (1.0 - self.q))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.expm1(near) / self.q
            found = np.where(ratio > -0.5, np.log1p(ratio), np.log(np.maximum(excess, 0.0)) - math.log(self.q))
        far = edges > 30.0
        if far.any():
            found[far] = edges[far] + np.log1p(-(1.0 - self.q) * np.exp(-edges[far])) - math.log(self.q)
        return found


@dataclass(frozen=True, slots=True)
class SymmetrizedPair(SymmetricPair):
    """The symmetric pair with the hockey-stick curve of `base` for gamma >= 1.

    For gamma < 1 the curve follows from H_gamma(P, Q) = 1 - gamma + gamma H_(1/gamma)(Q, P). Losses above 0 keep their
    masses, their mirror images get them with P and Q exchanged, and loss 0 gets what is left.

    Attributes:
        base: a pair whose curve for gamma >= 1 is at least that of its reverse.
    """

    base: Pair

    @property
    def edge_error(self) -> float:
        return self.base.edge_error

    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        low = min(0.0, -self.base.range_under_q(0.5, below)[1])
        return low, max(0.0, self.base.range_under_p(0.5, above)[1])

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        left, right = edges[edges < 0.0], edges[edges >= 0.0]
        p_right, q_right = self.base.masses(np.concatenate([[0.0], right]))
        # Cells of -L, from the outermost to the one that ends at 0, where P and Q change places.
        q_left, p_left = (mass[::-1] for mass in self.base.masses(np.concatenate([[0.0], -left[::-1]])))
        rest = max(0.0, float(p_right[0] - q_right[:0:-1].sum()))
        inner = len(left)
        p = np.concatenate([p_left[: inner + 1], p_right[2:]])
        q = np.concatenate([q_left[: inner + 1], q_right[2:]])
        # The cell that holds 0: the end of the left part, the atom, the start of the right part. The atom is a
        # difference; what rounding it may have lost is given to P alone.
        p[inner] += p_right[1] + rest + 64.0 * ULP
        q[inner] += q_right[1] + rest
        return p, q
