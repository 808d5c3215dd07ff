"""How coarse floats are, and numbers with a one-sided promise: exponentials, and exact fractions as floats."""

import math
import sys
from fractions import Fraction

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


def fraction_up(value: Fraction) -> float:
    """The smallest float that is at least the value; infinite beyond the largest one.

    Example:
        >>> fraction_up(Fraction(1, 3)) > Fraction(1, 3), fraction_up(Fraction(3, 2)), fraction_up(Fraction(10) ** 400)
        (True, 1.5, inf)
    """
    if value > Fraction(sys.float_info.max):
        return math.inf
    nearest = float(value)
    return nearest if nearest >= value else math.nextafter(nearest, math.inf)


def fraction_down(value: Fraction) -> float:
    """The largest finite float that is at most the value, which is at least 0.

    Example:
        >>> fraction_down(Fraction(2, 3)) < Fraction(2, 3), fraction_down(Fraction(3, 2))
        (True, 1.5)
    """
    nearest = float(min(value, Fraction(sys.float_info.max)))
    return nearest if nearest <= value else math.nextafter(nearest, 0.0)
