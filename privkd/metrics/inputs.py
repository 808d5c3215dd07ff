"""What every metric does first: arrays out of what it is given, and the refusals that all metrics share.

Arrays, tensors of any device (also those that require a gradient) and nested lists of numbers are taken. Messages name
positions and counts, never values: what is measured may be private.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accountants.numerics.array_kinds import FloatArray

Labels = NDArray[np.int64]
Flags = NDArray[np.bool_]


def plain_array(value: ArrayLike, *, name: str) -> NDArray[Any]:
    """A numpy array of booleans, integers or floats that is not empty; it may share memory with the value.

    Raises:
        TypeError: text, objects or complex numbers.
        ValueError: a ragged list, or no value at all.
    """
    found: Any = value
    if callable(getattr(found, "detach", None)):  # a tensor, told without importing torch
        found = found.detach().cpu()
        found = (found.double() if found.is_floating_point() else found).numpy()  # numpy has no bfloat16
    try:
        array = np.asarray(found)
    except ValueError:
        raise ValueError(f"{name} is a ragged list: all rows must have one length") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}.dtype={array.dtype} is not real; give booleans, integers or floats")
    if not array.size:
        raise ValueError(f"{name} is empty, shape {array.shape}; a metric needs at least one value")
    return array


def floats(value: ArrayLike, *, name: str, ndim: int | None = 1) -> FloatArray:
    """The value as float64.

    Args:
        value: what was given.
        name: what to call it in an error.
        ndim: axes that it must have; None for any.

    Raises:
        TypeError: as `plain_array`.
        ValueError: as `plain_array`; another number of axes; NaN or infinity, with the first row that has it.

    Example:
        >>> floats([1, 2], name="scores")
        array([1., 2.])
        >>> floats([1.0, float("nan")], name="scores")
        Traceback (most recent call last):
        ...
        ValueError: scores has 1 value that is NaN or infinite, first in row 1; metrics are of finite numbers only
    """
    array = np.asarray(plain_array(value, name=name), dtype=np.float64)
    _require_axes(array, name, ndim)
    bad = ~np.isfinite(array)
    if bad.any():
        count, row = int(bad.sum()), int(np.argwhere(bad)[0, 0]) if array.ndim else 0
        values = "1 value that is" if count == 1 else f"{count} values that are"
        raise ValueError(f"{name} has {values} NaN or infinite, first in row {row}; metrics are of finite numbers only")
    return array


def integers(value: ArrayLike, *, name: str, ndim: int | None = 1) -> Labels:
    """The value as int64: classes, identities, counts. Floats are refused, also those that are whole.

    Raises:
        TypeError: as `plain_array`, or floats.
        ValueError: as `plain_array`, or another number of axes.
    """
    array = plain_array(value, name=name)
    if array.dtype.kind == "f":
        raise TypeError(f"{name}.dtype={array.dtype} must be whole numbers; convert labels to integers yourself")
    _require_axes(array, name, ndim)
    return array.astype(np.int64)


def flags(value: ArrayLike, *, name: str, ndim: int | None = 1) -> Flags:
    """The value as booleans; it may hold 0 and 1 of any dtype, also only one of them.

    Raises:
        TypeError: as `plain_array`.
        ValueError: as `plain_array`, another number of axes, or other values than 0 and 1.
    """
    array = plain_array(value, name=name)
    _require_axes(array, name, ndim)
    other = (array != 0) & (array != 1)
    if other.any():
        raise ValueError(
            f"{name} must hold 0 and 1 (or booleans) only; {int(other.sum())} of {array.size} values are others, first in row "
            f"{int(np.argwhere(other)[0, 0])}"
        )
    return array.astype(bool)


def both_classes(value: ArrayLike, *, name: str) -> Flags:
    """Booleans, shape (n,), with at least one True and one False: what every curve over thresholds needs.

    Raises:
        TypeError: as `flags`.
        ValueError: as `flags`, or all are of one class.
    """
    found = flags(value, name=name)
    if found.all() or not found.any():
        raise ValueError(
            f"{name} has one class only (all {len(found)} are {int(found[0])}); this metric compares positives with negatives, "
            "so give rows of both"
        )
    return found


def require_same_length(**named: NDArray[Any]) -> None:
    """Refuse arrays whose first axes differ.

    Raises:
        ValueError: two lengths differ; all of them are named.
    """
    if len({len(array) for array in named.values()}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in named.items())
        raise ValueError(f"rows must belong together, but lengths differ: {lengths}")


def require_same_shape(**named: NDArray[Any]) -> None:
    """Refuse arrays whose shapes differ.

    Raises:
        ValueError: two shapes differ; all of them are named.
    """
    if len({array.shape for array in named.values()}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in named.items())
        raise ValueError(f"shapes must be equal, but differ: {shapes}")


def _require_axes(array: NDArray[Any], name: str, ndim: int | None) -> None:
    if array.ndim != ndim and ndim is not None:
        raise ValueError(
            f"{name} has shape {array.shape}, {array.ndim} axes; {ndim} {'is' if ndim == 1 else 'are'} needed"
        )
