"""From one record to a group of records."""

import math

from accountants import check

__all__ = ["group_privacy"]

_ROUNDING = 2.0**-50


def group_privacy(epsilon: float, delta: float, size: int) -> tuple[float, float]:
    """The guarantee for `size` records that follows from the guarantee for one; rounded up.

    Exact tools do better where the mechanism is known: for Gaussian noise divide sigma by the size instead.

    Args:
        epsilon: guarantee for one record, nats, >= 0.
        delta: failure mass for one record, in [0, 1).
        size: number of records in the group, >= 1.

    Returns:
        (size * epsilon, delta * (e^(size eps) - 1) / (e^eps - 1)), the second at most 1, where it says nothing.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> epsilon, delta = group_privacy(1.0, 1e-6, 3)
        >>> round(epsilon, 6), round(delta, 10)
        (3.0, 1.11073e-05)
    """
    check.real(epsilon=epsilon, at_least=0.0)
    check.probability_mass(delta=delta)
    check.integer(size=size, at_least=1)
    if size == 1:
        return float(epsilon), float(delta)
    total = size * epsilon * (1.0 + _ROUNDING)
    if delta == 0.0:
        return total, 0.0
    log_factor = math.log(size)
    if epsilon > 0.0:
        log_factor = (size - 1) * epsilon + math.log(-math.expm1(-size * epsilon)) - math.log(-math.expm1(-epsilon))
    log_delta = math.log(delta) + log_factor
    slack = 8.0 * _ROUNDING * (1.0 + abs(log_factor) + abs(math.log(delta)) + size * epsilon)
    return total, math.exp(min(0.0, log_delta + slack))
