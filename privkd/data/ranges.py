"""Whether two sets of inputs are on one scale: [0, 1] beside 0..255 gives a student that knows nothing, in silence.

The size of a set of inputs is the median over its rows of the largest absolute value in a row, so that no single record
decides it. Sets whose sizes differ by a factor of 8 or more do not fit: 255 and 16 grey levels beside [0, 1] are found,
standardised tables beside [0, 1] are left alone. Where one size comes from private records, the owner is warned before
anything is charged; the warning says that the sizes differ and nothing else, and no release may depend on it.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from torch import Tensor

from privkd.errors import InputRangeWarning

FACTOR = 8.0


def typical_size(rows: Tensor | np.ndarray) -> float:
    """Median over the rows of the largest absolute value in a row. Of private rows it is private.

    Args:
        rows: finite inputs, shape (n, ...), n >= 1.

    Example:
        >>> typical_size(np.array([[0.0, -0.5], [1.0, 0.2], [0.9, 1e9]]))
        1.0
    """
    flat = np.asarray(rows).reshape(len(rows), -1)
    return float(np.median(np.maximum(flat.max(axis=1), -flat.min(axis=1))))


def differs(size: float, other: float) -> bool:
    """Whether two sizes are a factor of 8 or more apart. A size of 0 (mostly empty rows) tells nothing.

    Example:
        >>> differs(255.0, 1.0), differs(1.0, 255.0), differs(1.0, 3.0), differs(0.0, 255.0)
        (True, True, False, False)
    """
    return min(size, other) > 0 and max(size, other) >= FACTOR * min(size, other)


def warn_of_other_range(private: float | None, queries: Tensor | None, *, low: float = 0.0, high: float = 1.0) -> None:
    """Warn the owner if queries are on another scale than the private records; to be called before anything is charged.

    Args:
        private: `typical_size` of the private records; None if they were never seen.
        queries: public inputs, shape (n, ...); None where they are generated in [low, high].
        low: smallest generated value.
        high: largest generated value.
    """
    if private is None:
        return
    if queries is not None and differs(private, typical_size(queries)):
        warnings.warn(
            "the queries are on another scale than the private records: their typical size differs by a factor of 8 or more, "
            "as values in 0..255 do from the range [0, 1]. The student will be useless. Scale both alike (uint8 arrays are "
            "divided by 255, other dtypes keep their values)",
            InputRangeWarning,
            stacklevel=4,
        )
    elif queries is None and differs(private, max(abs(low), abs(high))):
        warnings.warn(
            f"queries are generated in the range [{low:g}, {high:g}], another scale than that of the private records: the "
            "student will be useless. Declare the true range with inputs=InputSpec(shape, low, high), or give public queries",
            InputRangeWarning,
            stacklevel=4,
        )


def require_range(inputs: Tensor, *, low: float, high: float, role: str = "queries") -> None:
    """Refuse PUBLIC inputs whose values do not fit a declared range.

    Args:
        inputs: shape (n, ...), n >= 1.
        low: smallest declared value.
        high: largest declared value.
        role: what to call the inputs in an error.

    Raises:
        ValueError: their largest absolute value is a factor of 8 or more from the largest that was declared.
    """
    smallest, largest = float(inputs.min()), float(inputs.max())
    if math.isfinite(smallest + largest) and differs(max(-smallest, largest), max(abs(low), abs(high))):
        raise ValueError(
            f"{role} have values in [{smallest:g}, {largest:g}], but the declared range is [{low:g}, {high:g}]; scale them to "
            "it (uint8 arrays are divided by 255, other dtypes keep their values), or declare inputs=InputSpec(shape, low, "
            "high) as it is"
        )
