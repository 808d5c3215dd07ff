"""How well boxes fit: intersection over union, its complete form, and distances of centres.

Boxes are rows (x, y, width, height) in pixels, (x, y) the top-left corner; a row of zeros is an empty box. Coordinates are
continuous: a box covers width times height.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.inputs import floats, require_same_shape

_EPSILON = float(np.finfo(np.float64).eps)


def checked_boxes(boxes: ArrayLike, *, name: str) -> FloatArray:
    """Boxes as float64, shape (n, 4).

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, another shape, or a negative width or height.
    """
    found = floats(boxes, name=name, ndim=2)
    if found.shape[1] != 4:
        raise ValueError(f"{name} has shape {found.shape}; rows of x, y, width, height are needed")
    negative = (found[:, 2:] < 0).any(axis=1)
    if negative.any():
        raise ValueError(
            f"{name} has {int(negative.sum())} rows with a negative width or height, first row {int(np.argmax(negative))}; give "
            "x, y, width, height, not corners"
        )
    return found


def iou(boxes: ArrayLike, others: ArrayLike) -> FloatArray:
    """The intersection over union of box i with the other box i.

    Args:
        boxes: shape (n, 4).
        others: shape (n, 4).

    Returns:
        In [0, 1], shape (n,); 0 where both are empty.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, shapes that differ, or a negative width or height.

    Example:
        >>> iou([[0, 0, 2, 2]], [[1, 0, 2, 2]]).round(6).tolist()
        [0.333333]
    """
    one, two = _both(boxes, others)
    return _iou(one, two)


def complete_iou(boxes: ArrayLike, others: ArrayLike) -> FloatArray:
    """IoU - d^2 / c^2 - a v of box i with the other box i: also the distance of centres and the shape count.

    d is the distance of the centres, c the diagonal of the smallest box around both, v = (4 / pi^2) (difference of
    arctan(width / height))^2 and a = v / (1 - IoU + v). Where a box has no height v is 0, and where c is 0 (two equal points)
    the distance is.

    Args:
        boxes: shape (n, 4).
        others: shape (n, 4).

    Returns:
        In (-2, 1], shape (n,).

    Raises:
        TypeError: as `iou`.
        ValueError: as `iou`.

    Source: Zheng et al., "Distance-IoU loss", AAAI 2020, equations 8 to 11.

    Example:
        >>> complete_iou([[0, 0, 2, 2]], [[1, 0, 2, 2]]).round(6).tolist()
        [0.25641]
    """
    one, two = _both(boxes, others)
    overlap = _iou(one, two)
    apart = _squared((one[:, :2] + one[:, 2:] / 2) - (two[:, :2] + two[:, 2:] / 2))
    low = np.minimum(one[:, :2], two[:, :2])
    high = np.maximum(one[:, :2] + one[:, 2:], two[:, :2] + two[:, 2:])
    diagonal = _squared(high - low)
    flat = (one[:, 3] == 0) | (two[:, 3] == 0)
    angles = [np.arctan(box[:, 2] / np.where(flat, 1.0, box[:, 3])) for box in (one, two)]
    shape = np.where(flat, 0.0, 4 / math.pi**2 * (angles[1] - angles[0]) ** 2)
    weight = shape / (1 - overlap + shape + _EPSILON)
    return overlap - apart / np.where(diagonal == 0, 1.0, diagonal) - weight * shape


def centre_distance(boxes: ArrayLike, truth: ArrayLike, *, normalised: bool = False) -> FloatArray:
    """The distance between the centres of box i and true box i.

    Args:
        boxes: shape (n, 4).
        truth: shape (n, 4).
        normalised: divide the offsets by the true width and height first.

    Returns:
        Pixels, or multiples of the true size; shape (n,). Normalised distances of an empty true box are infinite.

    Raises:
        TypeError: as `iou`.
        ValueError: as `iou`.

    Example:
        >>> centre_distance([[3, 0, 2, 2]], [[0, 4, 2, 2]]).tolist()
        [5.0]
    """
    one, two = _both(boxes, truth)
    # Where centres are put (half a pixel more or less) cancels in the difference.
    offsets = (one[:, :2] + (one[:, 2:] - 1) / 2) - (two[:, :2] + (two[:, 2:] - 1) / 2)
    if not normalised:
        return np.sqrt(_squared(offsets))
    empty = (two[:, 2:] == 0).any(axis=1)
    scaled = offsets / np.where(empty[:, None], 1.0, two[:, 2:])
    return np.where(empty, np.inf, np.sqrt(_squared(scaled)))


def _both(boxes: ArrayLike, others: ArrayLike) -> tuple[FloatArray, FloatArray]:
    one, two = checked_boxes(boxes, name="boxes"), checked_boxes(others, name="others")
    require_same_shape(boxes=one, others=two)
    return one, two


def _iou(one: FloatArray, two: FloatArray) -> FloatArray:
    low = np.maximum(one[:, :2], two[:, :2])
    high = np.minimum(one[:, :2] + one[:, 2:], two[:, :2] + two[:, 2:])
    shared = _area(np.maximum(high - low, 0.0))
    union = _area(one[:, 2:]) + _area(two[:, 2:]) - shared
    return np.clip(shared / (union + _EPSILON), 0.0, 1.0)


def _area(sizes: FloatArray) -> FloatArray:
    return sizes[:, 0] * sizes[:, 1]  # many times faster than a product over an axis of two


def _squared(offsets: FloatArray) -> FloatArray:
    return offsets[:, 0] ** 2 + offsets[:, 1] ** 2
