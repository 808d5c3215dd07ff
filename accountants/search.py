"""Root finding with a one-sided promise: the returned point itself satisfies the condition."""

import math
from collections.abc import Callable

__all__ = ["last_inside"]


def last_inside(
    excess: Callable[[float], float],
    inside: float,
    outside: float,
    *,
    tolerance: float,
    good_enough: float = 0.0,
) -> float:
    """The point closest to the boundary, among those tried, where `excess` is not positive.

    Keeps a bracket and halves it at the latest every second step (interpolation in between), so that a
    monotone function needs at most about 2 log2(width / tolerance) evaluations; no property of the function
    is needed for the promise.

    Args:
        excess: the condition is `excess(x) <= 0`; may be infinite.
        inside: a point where the condition holds.
        outside: a point where it does not.
        tolerance: stop when the bracket is at most this wide (absolute, in units of x).
        good_enough: stop as soon as a point inside has `excess >= -good_enough`.

    Returns:
        A point between `inside` and `outside` at which `excess` was evaluated and found <= 0, or `inside` itself.
    """
    excess_inside, excess_outside = -math.inf, math.inf
    halve = True
    # 2 * 1100 halvings cross the whole range of floats; the bound only guards against a tolerance of zero.
    for _ in range(2200):
        width = outside - inside
        middle = inside + 0.5 * width
        if abs(width) <= tolerance or middle in (inside, outside):
            break
        point = middle
        if not halve and math.isfinite(excess_inside) and math.isfinite(excess_outside):
            point = _interpolated(inside, outside, excess_inside, excess_outside, tolerance)
        value = excess(point)
        halve = not halve
        if value <= 0.0:
            inside, excess_inside = point, value
            if value >= -good_enough:
                break
        else:
            outside, excess_outside = point, value
    return inside


def _interpolated(
    inside: float, outside: float, excess_inside: float, excess_outside: float, tolerance: float
) -> float:
    """Where the chord crosses zero, moved a little towards the wider part so that both ends close in."""
    share = excess_inside / (excess_inside - excess_outside)
    width = outside - inside
    nudge = max(0.3 * tolerance / abs(width), 1e-3 * min(share, 1.0 - share))
    share += nudge if share < 0.5 else -nudge
    return inside + min(max(share, 1e-6), 1.0 - 1e-6) * width
