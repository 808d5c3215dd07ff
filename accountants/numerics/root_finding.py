"""Root finding with a one-sided promise: the returned point itself satisfies the condition."""

import math
from collections.abc import Callable, Sequence

_SHORT = 1e-3  # a bracket in which a jump differs clearly from a slope


def last_inside(
    excess: Callable[[float], float],
    inside: float,
    outside: float,
    *,
    tolerance: float,
    good_enough: float = 0.0,
    known: Sequence[tuple[float, float]] = (),
    steepest: float = math.inf,
) -> float:
    """The point closest to the boundary, among those tried, where `excess` is not positive.

    Follows secants through the two latest points while they stay inside the bracket and halve it every third step;
    no property of the function is needed for the promise.

    Args:
        excess: the condition is `excess(x) <= 0`; may be infinite.
        inside: a point where the condition holds.
        outside: a point where it does not.
        tolerance: stop when the bracket is at most this wide (absolute, in units of x).
        good_enough: stop as soon as a point inside has `excess >= -good_enough`.
        known: points near the boundary with their excess, the best last.
        steepest: where the excess rises by more than this per unit of x across a bracket shorter than 0.001, it jumps
            there, and no point would be better.

    Returns:
        A point between `inside` and `outside` at which `excess` was evaluated and found <= 0, or `inside` itself.
    """
    latest = list(known)[-2:]
    ends = {point: value for point, value in known if point in (inside, outside)}
    width = before = outside - inside
    # 3 * 1100 steps cross the whole range of floats; the bound only guards against a tolerance of zero.
    for step in range(3300):
        width = outside - inside
        middle = inside + 0.5 * width
        if abs(width) <= tolerance or middle in (inside, outside):
            break
        point = _secant(latest, inside, outside, tolerance, good_enough)
        if point is None or (step % 3 == 2 and abs(width) > 0.5 * abs(before)):
            point = middle
        if step % 3 == 2:
            before = width
        value = excess(point)
        latest = [*latest[-1:], (point, value)]
        if value <= 0.0:
            inside, ends[point] = point, value
            if value >= -good_enough:
                break
        else:
            outside, ends[point] = point, value
        rise = ends.get(outside, math.inf) - ends.get(inside, math.inf)
        if abs(outside - inside) < _SHORT and rise > steepest * abs(outside - inside):
            break
    return inside


def _secant(
    latest: list[tuple[float, float]], inside: float, outside: float, tolerance: float, good_enough: float
) -> float | None:
    """Where the line through the two latest points falls a little short of zero; None if there is no such place."""
    if len(latest) < 2 or not all(math.isfinite(value) for _, value in latest):
        return None
    (first, low), (second, high) = latest
    slope = (high - low) / (second - first)
    if slope == 0.0 or not math.isfinite(slope):
        return None
    point = second - (high + 0.5 * good_enough) / slope
    # Towards the inside by a little, so that both ends of the bracket close in.
    point += math.copysign(0.3 * tolerance, inside - outside)
    is_between = min(inside, outside) < point < max(inside, outside)
    return point if is_between else None
