"""Masses of cells of the standard normal law with full relative accuracy, however narrow or far out a cell is."""

import math

import numpy as np
from scipy.special import ndtr

from accountants.numerics.array_kinds import FloatArray

_NARROW = 0.5  # width times (4 + distance from 0) up to which the series is used
_TINY = 0.02  # the same, for the first terms of the series
_ROOT = math.sqrt(2.0 * math.pi)


def normal_cells(edges: FloatArray) -> FloatArray:
    """Masses of (-inf, z_0], (z_0, z_1], ..., (z_n, inf) under N(0, 1).

    Wide cells are differences of the distribution function, taken in the tail that they lie in. In narrow cells
    the difference would cancel; there the density is integrated by its Taylor series around the middle, whose even
    terms are Hermite polynomials: mass = w phi(m) sum_n He_2n(m) (w/2)^2n / (2n+1)!.

    Args:
        edges: increasing, may start with -inf, shape (n,), n >= 1.

    Returns:
        Shape (n + 1,), relative error below 2e-13.

    Example:
        >>> normal_cells(np.array([-1.0, 1.0])).round(6)
        array([0.158655, 0.682689, 0.158655])
    """
    masses = np.empty(len(edges) + 1)
    masses[0], masses[-1] = ndtr(edges[0]), ndtr(-edges[-1])
    left, right = edges[:-1], edges[1:]
    with np.errstate(invalid="ignore"):
        middle, width = 0.5 * (left + right), right - left
        scale = width * (np.abs(middle) + 4.0)
    inner = masses[1:-1]
    with np.errstate(invalid="ignore"):
        inner[:] = _short_series(middle, width)
    larger = np.flatnonzero(~(scale < _TINY))
    if not len(larger):
        return masses
    left, right, middle, width, scale = left[larger], right[larger], middle[larger], width[larger], scale[larger]
    is_narrow = scale < _NARROW
    sign = np.where(right <= 0.0, 1.0, -1.0)  # mirror cells of the right half into the left one
    found = np.abs(ndtr(sign * right) - ndtr(sign * left))
    found[is_narrow] = _long_series(middle[is_narrow], width[is_narrow])
    inner[larger] = found
    return masses


def _short_series(middle: FloatArray, width: FloatArray) -> FloatArray:
    """Up to He_4, whose successor is below 1e-16 in tiny cells."""
    half_square = 0.25 * width * width
    square = middle * middle
    series = (square - 6.0) * square + 3.0
    series *= half_square / 120.0
    series += (square - 1.0) / 6.0
    series *= half_square
    series += 1.0
    series *= width
    square *= -0.5
    return np.exp(square, out=square) * series / _ROOT


def _long_series(middle: FloatArray, width: FloatArray) -> FloatArray:
    """Up to He_12, by its recurrence."""
    half_square = 0.25 * width * width
    step = 0.5 * width * middle
    before, now = np.ones_like(step), step  # He_n (w/2)^n for n = 0, 1
    series = np.ones_like(step)
    for order in range(2, 13):
        before, now = now, step * now - (order - 1) * half_square * before
        if order % 2 == 0:
            series += now / math.factorial(order + 1)
    return np.exp(-0.5 * middle * middle) * width * series / _ROOT
