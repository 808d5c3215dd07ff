"""Where to cut the loss into cells so that merging each gives a log-ratio on the lattice."""

import numpy as np

from accountants.methods.lattice.pairs.pair import SMALLEST_MASS, Pair
from accountants.numerics.array_kinds import FloatArray

_ROUGH = 1e-3  # steps by which a cell may miss its point and still count as smooth
_HEAVY = 1e-12  # cells below this P-mass are not worth any effort
_SWEEPS = 6
_MOST_ROUGH = 2000  # cells at one end
_PROBE = 1e-3  # steps; half width of the cells that measure the density


def cell_bounds(pair: Pair, points: FloatArray, step: float) -> FloatArray:
    """One boundary between any two neighbouring points, such that merged cells have log-ratios at the points.

    Where the log-density of the P-mass is straight, e^(kappa t), and the log-ratio weighs it with 1 - e^-t, the cell
    (x + b - h, x + b] has log-ratio x at b = 1/g - h / (e^(g h) - 1) with g = kappa - 1/2. That is right to fourth order
    in the step h. At the ends, where the density bends within a step, Newton's method does the rest.

    Args:
        pair: what is released once.
        points: the lattice, increasing, shape (n,), n >= 4.
        step: nats.

    Returns:
        Increasing boundaries, shape (n - 1,); good ones, but any would be valid.
    """
    p, _ = pair.masses(points)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.gradient(np.log(p[1:-1])) - 0.5 * step
    slope = np.clip(np.where(np.isfinite(slope), slope, 0.0), -50.0, 50.0)
    share = 0.5 - slope / 12.0 + slope * slope * slope / 720.0
    steep = np.flatnonzero(np.abs(slope) > 0.1)
    share[steep] = 1.0 / slope[steep] - 1.0 / np.expm1(slope[steep])
    return points[:-1] + step * np.clip(share, 0.02, 0.98)


def log_ratios(p: FloatArray, q: FloatArray, points: FloatArray) -> FloatArray:
    """How far the log-ratio of each cell is at least above its point, nats; 0 for empty cells.

    A mass under Q that underflow may have falsified counts as the largest one that it can be.
    """
    with np.errstate(divide="ignore"):
        offset = np.log(p) - np.log(np.maximum(q, 2.0 * SMALLEST_MASS)) - points
    return np.where(p >= SMALLEST_MASS, offset, 0.0)


def polished(
    pair: Pair, points: FloatArray, bounds: FloatArray, step: float, p: FloatArray, offset: FloatArray
) -> FloatArray:
    """The boundaries with those at both ends corrected, as far as the cells there miss their points.

    Cell i lies between boundaries i - 1 and i. Sweeps go from the tail inwards, where the density grows: an error of one
    boundary alternates from there on and shrinks in proportion.
    """
    found = bounds
    heavy = np.flatnonzero(p > _HEAVY)
    is_rough = np.abs(offset) > _ROUGH * step
    middle = int(np.argmax(p))
    for side in (-1, 1):
        if side < 0:
            start = int(heavy[0])
            rough = np.flatnonzero(is_rough[start:middle])
            if not len(rough):
                continue
            cells = np.arange(max(start, 1), min(start + int(rough[-1]) + 12, middle, start + _MOST_ROUGH))
        else:
            start = int(heavy[-1])
            rough = np.flatnonzero(is_rough[middle + 1 : start + 1])
            if not len(rough):
                continue
            first = max(middle + 1 + int(rough[0]) - 12, middle + 1, start - _MOST_ROUGH)
            cells = np.arange(min(start, len(points) - 2), first - 1, -1)
        if len(cells) > 1:
            found = _swept(pair, points, found, step, cells, side)
    return found


def _swept(pair: Pair, points: FloatArray, bounds: FloatArray, step: float, cells: np.ndarray, side: int) -> FloatArray:
    """Newton's method on the boundaries at the inner sides of `cells`, which are listed from the tail inwards."""
    low, high = int(cells.min()), int(cells.max())
    found = bounds.copy()
    best, best_miss = bounds, np.inf
    for _ in range(_SWEEPS):
        edges = found[low - 1 : high + 1]
        p, q = (mass[1:-1] for mass in pair.masses(edges))
        offset = log_ratios(p, q, points[low : high + 1])
        miss = float(np.sum(p * np.abs(offset)))
        if miss < best_miss:
            best, best_miss = found.copy(), miss
        if miss < 1e-9 * step:
            break
        probes = np.stack([edges - _PROBE * step, edges + _PROBE * step], axis=1).ravel()
        density = pair.masses(probes)[0][1::2] / (2.0 * _PROBE * step)
        ratio = points[low : high + 1] + offset
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            by_right = density[1:] / p * -np.expm1(ratio - edges[1:])
            by_left = density[:-1] / p * np.expm1(ratio - edges[:-1])
        inner, outer = (by_right, by_left) if side < 0 else (by_left, by_right)
        # Where the derivatives say nothing the boundary stays.
        is_known = np.isfinite(offset) & np.isfinite(inner) & np.isfinite(outer) & (inner * step > 1e-6)
        moved = 0.0
        for cell in cells - low:
            moved = float((-offset[cell] - outer[cell] * moved) / inner[cell]) if is_known[cell] else 0.0
            boundary = low + int(cell) - (side > 0)
            left, right = points[boundary] + 0.002 * step, points[boundary + 1] - 0.002 * step
            target = min(max(found[boundary] + moved, left), right)
            moved, found[boundary] = target - found[boundary], target
    return best
