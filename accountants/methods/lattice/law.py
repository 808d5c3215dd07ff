"""Lattice laws of the privacy loss of one release: from above by chord splitting, or exact."""

from dataclasses import dataclass

import numpy as np

from accountants.methods.lattice.pairs.pair import MASS_ERROR, SMALLEST_MASS, Pair
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

_UNSEEN = 1e-280  # P-mass that pairs leave out although no tail was asked for


@dataclass(frozen=True, slots=True)
class Tails:
    """P-mass of one release that a lattice law may leave out.

    Attributes:
        below: at the lowest losses, where hardly anything of delta comes from.
        above: at the highest losses; becomes mass at infinity in upper laws.
    """

    below: float
    above: float


@dataclass(frozen=True, slots=True, eq=False)
class LatticeLaw:
    """Masses at the losses origin + (first + i) * step.

    Attributes:
        step: nats between neighbours, > 0.
        origin: nats.
        first: integer index of the first entry.
        mass: P-masses, shape (n,); they need not add up to 1.
        infinity: P-mass of infinite loss.
        shift: how far in nats the true losses may be on the unsafe side of these.
        mass_error: relative; how far the true masses may be on the unsafe side.
    """

    step: float
    origin: float
    first: int
    mass: FloatArray
    infinity: float
    shift: float
    mass_error: float

    @property
    def points(self) -> FloatArray:
        """The losses, shape (n,)."""
        return lattice_points(self.origin, self.step, self.first, len(self.mass))

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest finite loss."""
        return self.origin + self.first * self.step, self.origin + (self.first + len(self.mass) - 1) * self.step


def lattice_points(origin: float, step: float, first: int, count: int) -> FloatArray:
    """Origin + (first + i) * step for i = 0 .. count - 1."""
    return origin + (first + np.arange(count, dtype=np.float64)) * step


def origin_of(pair: Pair, step: float) -> float:
    """Where to put the lattice so that an end of the loss that carries mass falls on it; 0 if there is none."""
    anchor = pair.anchor
    return 0.0 if anchor is None else anchor[1] - step * round(anchor[1] / step)


def upper_law(pair: Pair, step: float, tails: Tails) -> LatticeLaw:
    """A law on the lattice whose hockey-stick curve is at least the pair's everywhere.

    The mass of a cell goes to the two ends of the cell so that its mass under P and under Q stays the same. At the
    lattice points the curve is then the pair's, and linear in e^epsilon in between, where the pair's is convex
    ("connect the dots", Doroshenko et al. 2022). The error is of second order in the step.

    Args:
        pair: what is released once.
        step: nats, > 0.
        tails: what may be left out; the upper tail becomes mass at infinity.

    Returns:
        The law; `shift` and `mass_error` cover all rounding.

    Example:
        >>> from accountants.methods.lattice.pairs.laplace import LaplacePair
        >>> law = upper_law(LaplacePair(1.0), 0.5, Tails(0.0, 0.0))
        >>> law.first, law.mass.round(4)
        (-2, array([0.2068, 0.0587, 0.0754, 0.0968, 0.5622]))
    """
    origin = origin_of(pair, step)
    low, high = pair.range_under_p(tails.below, tails.above)
    first = int(np.floor((low - origin) / step))
    count = max(2, int(np.ceil((high - origin) / step)) + 2 - first)  # one more, for an atom that rounding moved out
    points = lattice_points(origin, step, first, count)
    p, q = pair.masses(points)
    inner_p, inner_q = p[1:-1], q[1:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        # Mean log-ratio of the cell above its left end; 0 where the cell is empty, and all of the cell where underflow
        # leaves nothing of Q to compare with.
        known_q = np.where(inner_q >= SMALLEST_MASS, inner_q, 0.0)
        height = np.where(inner_p > 0.0, np.log(inner_p) - np.log(known_q) - points[:-1], 0.0)
    raised = inner_p * (np.expm1(-np.clip(height, 0.0, step)) / np.expm1(-step))
    mass = np.zeros(count)
    mass[0] = p[0]
    mass[:-1] += np.maximum(inner_p - raised, 0.0)
    mass[1:] += raised
    if pair.anchor is not None:
        # No loss exceeds the anchor, which is a lattice point but for rounding (counted in `shift`).
        top = round((pair.anchor[1] - origin) / step) - first
        mass[top] += mass[top + 1 :].sum()
        mass = mass[: top + 1]
    reach = max(abs(points[0]), abs(points[-1]))
    return LatticeLaw(
        step=step,
        origin=origin,
        first=first,
        mass=mass,
        infinity=float(p[-1]) * (1.0 + MASS_ERROR) + _UNSEEN,
        # The ratio of two masses, the edges of the cells, and the rounding of the points and of `height`.
        shift=3.0 * MASS_ERROR + pair.edge_error + 8.0 * ULP * (1.0 + reach),
        mass_error=2.0 * MASS_ERROR,
    )


def exact_law(pair: Pair, step: float, tail: float) -> LatticeLaw:
    """The law of a pair whose losses lie on a lattice, by integer index: nothing is rounded to the lattice.

    Args:
        pair: its `spacing` must be a whole multiple of the step up to rounding.
        step: nats, > 0.
        tail: P-mass that may be left out on each side; the upper one is counted as infinite.

    Returns:
        The law, for upper bounds; for lower bounds leave out `infinity`.
    """
    atoms = pair.atoms(tail)
    multiple = round(atoms.spacing / step)
    mass = np.zeros(multiple * (len(atoms.p) - 1) + 1)
    mass[::multiple] = atoms.p
    origin = atoms.offset * atoms.spacing
    reach = max(abs(atoms.first), abs(atoms.first + len(atoms.p))) + 1.0
    clash = abs(atoms.spacing - multiple * step)
    return LatticeLaw(
        step=step,
        origin=origin,
        first=multiple * atoms.first,
        mass=mass,
        infinity=atoms.beyond,
        shift=reach * (clash + 8.0 * ULP * atoms.spacing),
        mass_error=MASS_ERROR,
    )
