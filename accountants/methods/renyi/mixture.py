"""The moment of a mixture in which a share of all cases tells something."""

import math

import numpy as np

from accountants.numerics.array_kinds import FloatArray

_STEEP = 30.0  # nats from which on e^growth - 1 would lose its 1, and later overflow


def log_mixture(q: float, growth: FloatArray) -> FloatArray:
    """Log of (1 - q + q e^growth), accurate where it is tiny and where the exponential overflows.

    Example:
        >>> log_mixture(0.5, np.array([1e-20, 1.0, 1000.0])).round(4).tolist()
        [0.0, 0.6201, 999.3069]
    """
    steep = np.logaddexp(math.log1p(-q), math.log(q) + growth)
    return np.where(growth < _STEEP, np.log1p(q * np.expm1(np.minimum(growth, _STEEP))), steep)
