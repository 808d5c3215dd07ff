"""What a dominating pair of laws (P, Q) must be able to tell about its privacy loss.

The privacy loss is L = log dP/dQ. Accountants only ever ask for masses of cells of L, under P and under Q, because
putting outcomes into cells is post-processing and needs no density.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from accountants.numerics.array_kinds import FloatArray

MASS_ERROR = 2.0**-40  # relative error of every mass that a pair gives; measured errors are below a quarter of it

SMALLEST_MASS = 1e-290  # smaller masses may have lost their relative accuracy to underflow


@dataclass(frozen=True, slots=True, eq=False)
class Atoms:
    """A loss that takes only the values (first + i + offset) * spacing, known by integer index.

    Attributes:
        spacing: nats between neighbours, > 0.
        offset: 0 or 0.5, in units of the spacing.
        first: integer index of the first entry.
        p: masses under P, shape (n,), relative error at most MASS_ERROR.
        beyond: P-mass at losses above the last entry that was left out.
    """

    spacing: float
    offset: float
    first: int
    p: FloatArray
    beyond: float

    @property
    def losses(self) -> FloatArray:
        """Losses of the entries, shape (n,)."""
        return (self.first + self.offset + np.arange(len(self.p), dtype=np.float64)) * self.spacing


class Pair(ABC):
    """Two laws whose hockey-stick curve bounds that of every pair of neighbouring inputs, in one direction.

    Implementations are frozen dataclasses, so that equal pairs share cached work.
    """

    __slots__ = ()

    @property
    def spacing(self) -> float | None:
        """Nats between neighbouring losses if all of them lie on a lattice; None otherwise."""
        return None

    @property
    def is_symmetric(self) -> bool:
        """Whether (Q, P) has the same law of the loss as (P, Q)."""
        return False

    @property
    @abstractmethod
    def edge_error(self) -> float:
        """Bound in nats on how far the loss at a computed cell edge is from the edge that was asked for."""

    @property
    def anchor(self) -> tuple[float, float] | None:
        """Lowest and highest loss if both carry mass: a lattice that contains them loses nothing there."""
        return None

    @abstractmethod
    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        """Losses (low, high) with P(L < low) <= below and P(L > high) <= above."""

    @abstractmethod
    def range_under_q(self, below: float, above: float) -> tuple[float, float]:
        """Losses (low, high) with Q(L < low) <= below and Q(L > high) <= above."""

    @abstractmethod
    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Masses of (-inf, t_0], (t_0, t_1], ..., (t_n, inf) of the loss under P and under Q.

        Both are masses of the same sets, whose edges may be off by `edge_error`; an atom on an edge may fall on
        either side.

        Args:
            edges: increasing losses in nats, shape (n,).

        Returns:
            Two arrays of shape (n + 1,), each mass with a relative error of at most MASS_ERROR, if it is at least
            SMALLEST_MASS.
        """

    def atoms(self, tail: float) -> Atoms:
        """The lattice law of the loss when `spacing` is not None; at most `tail` of P is left out on each side."""
        raise NotImplementedError(f"{type(self).__name__} has no lattice of its own (spacing is None)")

    def reverse(self) -> "Pair":
        """The pair (Q, P)."""
        return self if self.is_symmetric else ReversedPair(self)


class SymmetricPair(Pair):
    """A pair (P, Q) for which (Q, P) has the same law of the loss: under Q the loss changes its sign."""

    __slots__ = ()

    @property
    def is_symmetric(self) -> bool:
        return True

    def range_under_q(self, below: float, above: float) -> tuple[float, float]:
        low, high = self.range_under_p(above, below)
        return -high, -low


@dataclass(frozen=True, slots=True)
class ReversedPair(Pair):
    """(Q, P) for a pair (P, Q): the loss changes its sign.

    Attributes:
        base: the pair (P, Q).
    """

    base: Pair

    @property
    def edge_error(self) -> float:
        return self.base.edge_error

    @property
    def anchor(self) -> tuple[float, float] | None:
        anchor = self.base.anchor
        return None if anchor is None else (-anchor[1], -anchor[0])

    def range_under_p(self, below: float, above: float) -> tuple[float, float]:
        low, high = self.base.range_under_q(above, below)
        return -high, -low

    def range_under_q(self, below: float, above: float) -> tuple[float, float]:
        low, high = self.base.range_under_p(above, below)
        return -high, -low

    def masses(self, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
        p, q = self.base.masses(-edges[::-1])
        return q[::-1], p[::-1]

    def reverse(self) -> Pair:
        return self.base
