"""The largest count that fits into a budget, found with few tries, because a single one may take a second."""

import math
from collections.abc import Callable


def largest_count(fits: Callable[[int], bool], cost: Callable[[int], float], budget: float, most: int) -> int:
    """The largest count that fits.

    Doubles, then follows secants of log cost against log count, and halves where they do not close in.

    Args:
        fits: whether a count is allowed; if one is, all smaller ones are. Never asked about 0, which always is.
        cost: of a count, whether it fits or not, in any unit; may be infinite. It only shows the way.
        budget: about where counts stop to fit, in the same unit.
        most: the largest count to try, >= 0.

    Returns:
        A count in [0, most].

    Example:
        >>> largest_count(lambda count: count**2 <= 1000, lambda count: count**2, 1000, 10**15)
        31
    """
    low, high = 0, 1
    while high <= most and fits(high):
        low, high = high, 2 * high
    asked = [(high, _excess(cost(high), budget))] if high <= most else []
    high = min(high, most + 1)
    # A secant may creep towards one end: every third step halves the range, unless the last three have done so.
    before, step = high - low, 0
    while high - low > 1:
        guess = _crossing(asked)
        is_slow = step % 3 == 2 and 2 * (high - low) > before
        point = (low + high) // 2 if guess is None or is_slow else min(max(guess, low + 1), high - 1)
        if step % 3 == 2:
            before = high - low
        asked = [*asked[-1:], (point, _excess(cost(point), budget))]
        low, high = (point, high) if fits(point) else (low, point)
        step += 1
    return low


def _excess(cost: float, budget: float) -> float:
    """log(cost / budget), infinite where there is no such number."""
    return math.log(cost / budget) if 0.0 < cost < math.inf and budget > 0.0 and cost / budget > 0.0 else math.inf


def _crossing(asked: list[tuple[int, float]]) -> int | None:
    """Where the line through the two latest points, log against log, meets the budget."""
    if len(asked) < 2:
        return None
    (first, low), (second, high) = asked
    if first == second or low == high or not math.isfinite(low - high):
        return None
    exponent = high * math.log(second / first) / (low - high)
    return math.floor(second * math.exp(exponent)) if abs(exponent) < 40.0 else None
