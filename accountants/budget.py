"""Whether one more charge fits into a budget, and the message when it does not."""

from collections.abc import Mapping

from accountants import check
from accountants.adjacency import Adjacency
from accountants.bound import round_up
from accountants.composition import epsilon_of_parts, is_quickly_within, require_sampling
from accountants.conversion import quick_rdp_epsilon
from accountants.curves import renyi
from accountants.errors import BudgetExceeded
from accountants.events import Event, Repeat, distinct, merge_gaussians
from accountants.events.algebra import MAX_COUNT
from accountants.exact import pure_epsilon
from accountants.failure import split_failures

__all__ = ["require_chargeable", "require_within"]

Parts = Mapping[Event, int]


def require_chargeable(parts: Parts, added: Parts, adjacency: Adjacency) -> dict[Event, int]:
    """The sum of both multisets, if every part can be bounded at all.

    Raises:
        UnsupportedEvent: no accountant can bound an added part.
        ValueError: a total count exceeds 10^15.
    """
    total = dict(parts)
    for part, count in added.items():
        if part not in parts:
            # A claim's failure mass is split off before curves are used; everything else needs a curve.
            renyi(part, 2.0)
            require_sampling({part: count}, adjacency)
        total[part] = total.get(part, 0) + count
        check.integer(**{f"total count of {part!r}"[:120]: total[part]}, at_most=MAX_COUNT)
    return total


def require_within(
    before: Parts,
    after: Parts,
    event: Event,
    *,
    epsilon: float,
    delta: float,
    adjacency: Adjacency,
    events: int,
) -> None:
    """Refuse a total that costs more than the budget.

    Args:
        before: what is charged already.
        after: what would be charged with the new event.
        event: the new event, for the message.
        epsilon: budget in nats.
        delta: failure mass of the budget.
        adjacency: neighbouring relation.
        events: number of entries charged already, for the message.

    Raises:
        BudgetExceeded: the upper end of the total is above the budget.
    """
    if is_quickly_within(after, epsilon, delta, adjacency):
        return
    cost = _cost(after, delta, adjacency)
    if cost <= epsilon:
        return
    message = (
        f"this release would cost epsilon={round_up(cost)} (upper bound) of {epsilon:g} at delta={delta:g}, "
        f"adjacency {adjacency}. "
    )
    if before:
        dearest = max(before, key=lambda part: _rank(part, before[part], delta))
        share = _cost({dearest: before[dearest]}, delta, adjacency)
        message += (
            f"Spent {round_up(_cost(before, delta, adjacency))} in {events} events; "
            f"largest: {Repeat(before[dearest], dearest)!r} {round_up(share)}. "
        )
    else:
        message += "Nothing is spent yet. "
    if isinstance(event, Repeat):
        fits = _most(before, event, epsilon=epsilon, delta=delta, adjacency=adjacency)
        message += f"Lower the count from {event.count} to <= {fits} or add more noise."
    else:
        message += "Add more noise, or ask for a larger budget."
    raise BudgetExceeded(message)


def _cost(parts: Parts, delta: float, adjacency: Adjacency) -> float:
    return epsilon_of_parts(merge_gaussians(parts), delta, adjacency).upper


def _rank(part: Event, count: int, delta: float) -> float:
    """A cheap measure of cost: good enough to find the largest."""
    parts, _ = split_failures({part: count})
    return quick_rdp_epsilon(parts, delta) if delta > 0.0 else pure_epsilon(parts)[1]


def _most(before: Parts, event: Repeat, *, epsilon: float, delta: float, adjacency: Adjacency) -> int:
    """Largest count of the repeated event that still fits."""
    single = distinct(event.event)
    low, high = 0, event.count
    while high - low > 1:
        middle = (low + high) // 2
        trial = dict(before)
        for part, count in single.items():
            trial[part] = trial.get(part, 0) + middle * count
        fits = is_quickly_within(trial, epsilon, delta, adjacency) or _cost(trial, delta, adjacency) <= epsilon
        low, high = (middle, high) if fits else (low, middle)
    return low
