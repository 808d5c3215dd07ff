"""How coarse floats are, and exponentials with a one-sided promise."""

import math

__all__ = ["ULP", "exp_down", "exp_up"]

ULP = 2.0**-53  # relative error of one rounding


def exp_down(exponent: float) -> float:
    """A float that is certainly at most exp(exponent), and at least 0.

    Example:
        >>> exp_down(0.0) < 1.0, exp_down(-1e6)
        (True, 0.0)
    """
    # Relative room for the rounding of exp; the two steps are for subnormal results, which have no relative accuracy.
    value = math.exp(exponent) * (1.0 - 4.0 * ULP)
    return math.nextafter(math.nextafter(value, 0.0), 0.0)


def exp_up(exponent: float) -> float:
    """A float that is certainly at least exp(exponent); 0 only for minus infinity.

    Example:
        >>> exp_up(0.0) > 1.0, exp_up(-1e6) > 0.0, exp_up(float("-inf"))
        (True, True, 0.0)
    """
    if exponent == -math.inf:
        return 0.0
    value = math.exp(exponent) * (1.0 + 4.0 * ULP)
    return math.nextafter(math.nextafter(value, math.inf), math.inf)
