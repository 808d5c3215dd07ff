"""The pair of Laplace noise."""

import math
from dataclasses import dataclass

import numpy as np

from accountants.methods.lattice.pairs.pair import SymmetricPair
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP


@dataclass(frozen=True, slots=True)
class LaplacePair(SymmetricPair):
    """Laplace(1, 1/eps0) against Laplace(0, 1/eps0).

    Under P the loss is eps0 with mass 1/2, -eps0 with mass e^-eps0 / 2, and has density e^((t - eps0)/2) / 4 between.

    Attributes:
        eps0: L1 sensitivity / scale, nats, > 0.
    """

    eps0: float

    @property
    def edge_error(self) -> float:
        return 4.0 * ULP * self.eps0

    @property
    def anchor(self) -> tuple[float, float] | None:
        return -self.eps0, self.eps0

    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        return -self.eps0, self.eps0

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        inside = np.clip(edges, -self.eps0, self.eps0)
        ends = np.concatenate([[-self.eps0], inside, [self.eps0]])
        left, half_width = ends[:-1], 0.5 * np.diff(ends)
        p = 0.5 * np.exp(0.5 * (left - self.eps0)) * np.expm1(half_width)
        q = -0.5 * np.exp(-0.5 * (left + self.eps0)) * np.expm1(-half_width)
        lowest = int(np.searchsorted(edges, -self.eps0, side="left"))
        highest = int(np.searchsorted(edges, self.eps0, side="left"))
        small = 0.5 * math.exp(-self.eps0)
        p[lowest] += small
        q[lowest] += 0.5
        p[highest] += 0.5
        q[highest] += small
        return p, q
