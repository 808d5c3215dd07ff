"""A lattice law from below: cells are merged so that their log-ratios are lattice points."""

import numpy as np

from accountants.errors import ResolutionError
from accountants.methods.lattice.law import LatticeLaw, Tails, lattice_points, origin_of
from accountants.methods.lattice.merging import cell_bounds, log_ratios, polished
from accountants.methods.lattice.pairs.pair import MASS_ERROR, SMALLEST_MASS, Pair
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

_EXACT = 2.0 * MASS_ERROR  # nats; log-ratios this close below a lattice point count as on it, at the cost of a shift
_WASTED = 0.02  # mean loss that rounding may give up without a second look, in squared steps


def lower_law(pair: Pair, step: float, tails: Tails) -> LatticeLaw:
    """A law on the lattice whose hockey-stick curve is at most the pair's everywhere.

    Merging outcomes is post-processing, so the merged pair is dominated by the true one. One cell is merged around
    every lattice point, with boundaries chosen such that its log-ratio is that point up to fourth order in the step.
    What is left over above a point is rounded down to it. A cell that is left a little below its point is merged with
    just as much of the (then exact) atom one step above as lifts it there. The error is of second order in the step
    where the loss has a density, and at anchored atoms.

    Args:
        pair: what is released once.
        step: nats, > 0.
        tails: what may be left out.

    Returns:
        The law; `infinity` is 0, and the masses add up to less than 1 where outcomes were dropped.

    Raises:
        ResolutionError: every loss is so large that masses underflow.

    Example:
        >>> from accountants.methods.lattice.pairs.laplace import LaplacePair
        >>> law = lower_law(LaplacePair(1.0), 0.5, Tails(0.0, 0.0))
        >>> law.first, law.mass.round(4)
        (-3, array([0.    , 0.2117, 0.0559, 0.0732, 0.1592, 0.5   ]))
    """
    origin = origin_of(pair, step)
    low, high = pair.range_under_p(tails.below, tails.above)
    first = int(np.floor((low - origin) / step)) - 1
    count = max(4, int(np.ceil((high - origin) / step)) + 2 - first)
    points = lattice_points(origin, step, first, count)
    bounds = cell_bounds(pair, points, step)
    if pair.anchor is not None:
        # The highest loss stays alone, so that its point is met exactly.
        bounds = np.where(np.abs(points[1:] - high) < 0.25 * step, points[1:] - 1e-9 * step, bounds)
    p, q = pair.masses(bounds)
    offset = log_ratios(p, q, points)
    mass = _on_points(p, offset, step)
    if pair.anchor is None and _given_up(p, offset, mass, points) > _WASTED * step * step:
        better = polished(pair, points, bounds, step, p, offset)
        p, q = pair.masses(better)
        polished_mass = _on_points(p, log_ratios(p, q, points), step)
        mass = max(mass, polished_mass, key=lambda found: float(found @ points))
    held = np.flatnonzero(mass)
    if not len(held):
        raise ResolutionError(f"losses up to {high:.4g} nats are too large for floats; use method='renyi'")
    reach = max(abs(points[0]), abs(points[-1]))
    return LatticeLaw(
        step=step,
        origin=origin,
        first=first,
        mass=mass[: int(held[-1]) + 1],
        infinity=0.0,
        shift=3.0 * MASS_ERROR + _EXACT + 8.0 * ULP * (1.0 + reach),
        mass_error=2.0 * MASS_ERROR,
    )


def _given_up(p: FloatArray, offset: FloatArray, mass: FloatArray, points: FloatArray) -> float:
    """Mean loss that the merged cells have and the masses at the points do not."""
    held = p * (points + np.where(np.isfinite(offset), offset, 0.0))
    return float(held.sum() - mass @ points)


def _on_points(p: FloatArray, offset: FloatArray, step: float) -> FloatArray:
    """Masses at the points, dominated by cells with mass p and a log-ratio that is `offset` above the point."""
    offset[-1] = min(offset[-1], 0.0)  # the highest tail stays at the highest point
    p = np.where(p >= SMALLEST_MASS, p, 0.0)
    is_near = (offset >= -step) & (offset < step)
    is_low = is_near & (offset < -_EXACT)
    # Merging with `lift` of the atom one step up brings a low cell to its point: lift e^-h + p e^-offset = p + lift.
    wanted = np.where(is_low, p * (np.expm1(np.where(is_low, -offset, 0.0)) / -np.expm1(-step)), 0.0)
    share = _liftable(np.where(is_near, p, 0.0), wanted)
    lifted, lift = np.where(is_low, share * p, 0.0), share * wanted
    steps = np.floor(np.clip((offset + _EXACT) / step, -4.0 * len(p), 4.0 * len(p))).astype(np.int64)
    target = np.arange(len(p)) + steps
    kept = target >= 0
    counted = np.bincount(np.minimum(target[kept], len(p) - 1), (p - lifted)[kept], len(p))
    mass = np.asarray(counted, dtype=np.float64)  # integers when nothing is kept
    mass += lifted + lift
    mass[1:] -= lift[:-1]
    return np.maximum(mass, 0.0)


def _liftable(near: FloatArray, wanted: FloatArray) -> FloatArray:
    """Share of every cell that can be lifted with mass of the next one that is on its own point, or gets there."""
    share = np.ones(len(near) + 1)
    with np.errstate(divide="ignore", over="ignore"):
        ratio = np.where(wanted > 0.0, np.append(near[1:], 0.0) / np.where(wanted > 0.0, wanted, 1.0), np.inf)
    # Where a cell finds too little, the one below it may find too little for that reason, and so on.
    for scarce in np.flatnonzero(ratio < 1.0)[::-1]:
        cell = int(scarce)
        while cell >= 0 and share[cell] == 1.0:  # the last cell finds nothing: its ratio is 0
            found = float(ratio[cell] * share[cell + 1]) if ratio[cell] < np.inf else np.inf
            if found >= 1.0:
                break
            share[cell] = found * (1.0 - 1e-12)
            cell -= 1
    return share[:-1]
