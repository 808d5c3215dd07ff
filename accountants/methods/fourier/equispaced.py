"""Characteristic functions of weighted points at equally spaced frequencies, by fast transforms of Taylor moments.

A point l lies within half a cell of a grid point g, and e^(i omega l) = e^(i omega g) sum_p (i omega (l - g))^p / p!.
The sums over points that share a grid point are moments, and the sums over grid points are transforms, one per term
(Anderson and Dahleh 1996, "Rapid computation of the discrete Fourier transform").
"""

import math
from typing import cast

import numpy as np
import scipy.fft

from accountants.numerics.array_kinds import ComplexArray, FloatArray, IntArray
from accountants.numerics.rounding import ULP

_ANGLE = 0.5 * math.pi  # largest |omega (l - g)|, with two grid points per frequency
# Every number goes through log2(n) stages of a fast transform, each a product with a rounded twiddle factor and a sum:
# 4.3 ulps of it, and fewer than 8 per binary digit with factors of 3, 5, 7 or 11.
_TRANSFORM = 8.0 * ULP


def departures(
    points: FloatArray, weights: FloatArray, owner: IntArray, groups: int, step: float, count: int, precision: float
) -> tuple[ComplexArray, FloatArray, FloatArray]:
    """Sum of weight * (e^(i m step point) - 1) for m = 0 .. count, for every group of points.

    Points that hardly turn cancel exactly, so that the error is small beside the sum of weight * |e^(...) - 1|: a
    characteristic function close to 1 can be raised to a high power.

    Args:
        points: shape (n,).
        weights: >= 0, shape (n,); those of a group add up to about 1.
        owner: group of every point, shape (n,).
        groups: how many there are.
        step: distance of frequencies, > 0.
        count: number of frequencies beside 0, >= 1.
        precision: error per unit of weight that leaving out terms may make, < 1.

    Returns:
        Sums, shape (groups, count + 1), and for each group two numbers whose first plus frequency times second bounds
        the absolute error; rounding of the points themselves is not in it.

    Example:
        >>> found, fixed, rising = departures(np.array([0.0, 1.0]), np.full(2, 0.5), np.zeros(2, int), 1, 0.5, 2, 1e-16)
        >>> bool(abs(found[0, 2] - 0.5 * (np.exp(1j) - 1.0)) <= fixed[0] + 1.0 * rising[0] <= 1e-13)
        True
    """
    size = cast("int", scipy.fft.next_fast_len(2 * (count + 1), real=True))
    turns = points * (step * size / (2.0 * math.pi))  # in grid cells
    nearest = np.rint(turns)
    away = turns - nearest  # in [-1/2, 1/2]
    place = np.mod(nearest, size).astype(np.intp) + owner * size
    # Of the first term, points beside 0 are left out, and all others are taken from 0.
    is_near = nearest == 0.0
    moment = np.where(is_near, 0.0, weights)
    crowds = [float(np.bincount(some).max(initial=0)) for some in (place[~is_near], place)]
    real, imaginary, errors = np.zeros((groups, count + 1)), np.zeros((groups, count + 1)), []
    frequency = np.arange(count + 1) * (2.0 * math.pi / size)
    factor = np.ones(count + 1)
    terms = _terms(precision)
    for term in range(terms):
        gathered = np.bincount(place, moment, groups * size).reshape(groups, size)
        heft = np.bincount(owner, np.abs(moment), groups)
        if term == 0:
            gathered[:, 0] -= heft
            moment = weights
        sums = cast("ComplexArray", scipy.fft.rfft(gathered, axis=1))[:, : count + 1]
        # The transform turns the other way: conjugate. Powers of i are signs of one part or the other.
        sign = 1.0 if term % 4 < 2 else -1.0
        if term % 2 == 0:
            real += sign * factor * sums.real
            imaginary -= sign * factor * sums.imag
        else:
            real += sign * factor * sums.imag
            imaginary += sign * factor * sums.real
        # Two sums of parts, those of the transform and those over the points of a grid point.
        relative = 2.0 * _TRANSFORM * math.log2(size) + ULP * (crowds[min(term, 1)] + 8.0 + 2.0 * term)
        errors.append(2.0 * float(factor[-1]) * relative * heft)
        moment = moment * away
        factor = factor * (frequency / (term + 1))
    # What is left out is at most twice its first term. All but the first term rise with the frequency at least linearly.
    errors.append(2.0 * float(factor[-1]) * np.bincount(owner, np.abs(moment), groups))
    return real + 1j * imaginary, errors[0], np.sum(errors[1:], axis=0) / (step * count)


def _terms(precision: float) -> int:
    """How many terms leave out at most so much; beyond the third each is less than half of the one before."""
    terms, term = 1, _ANGLE
    while terms < 4 or 2.0 * term > precision:
        terms += 1
        term *= _ANGLE / terms
    return terms
