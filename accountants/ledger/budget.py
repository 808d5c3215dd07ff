"""Whether one more charge fits into a budget, and the message when it does not."""

import math
from collections.abc import Mapping

from accountants import check
from accountants.adaptive.budget_rule import BudgetRule
from accountants.adaptive.counts import largest_count
from accountants.adjacency import Adjacency
from accountants.bound import round_up
from accountants.errors import BudgetExceeded, UnsupportedEvent
from accountants.events import Event, Repeat, distinct
from accountants.events.algebra import MAX_COUNT
from accountants.failure import split_failures
from accountants.pure import pure_epsilon
from accountants.rdp.conversion import quick_rdp_epsilon
from accountants.requirements import require_bounded

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
            require_bounded({part: count}, adjacency)
        total[part] = total.get(part, 0) + count
        check.integer(**{f"total count of {part!r}"[:120]: total[part]}, at_most=MAX_COUNT)
    return total


def require_within(rule: BudgetRule, before: Parts, after: Parts, event: Event, *, events: int) -> None:
    """Refuse a total that costs more than the budget.

    Args:
        rule: the budget, and how the ledger's first charge has it checked.
        before: what is charged already.
        after: what would be charged with the new event.
        event: the new event, for the message.
        events: number of entries charged already, for the message.

    Raises:
        BudgetExceeded: the total costs more than the budget, or the check cannot count one of its parts.
    """
    if rule.fits(after):
        return
    stranger = rule.stranger(after)
    if stranger is not None:
        raise BudgetExceeded(
            f"{stranger!r} cannot be counted: this ledger's first charge fixed its budget to be checked by {rule}, "
            "because a check chosen after answers were seen proves nothing. Name one event of every kind in the FIRST "
            "charge (charge(a + b)), or charge a separate ledger with a budget of its own."
        )
    message = (
        f"this release would cost epsilon={round_up(rule.cost(after))} (upper bound) of {rule.epsilon:g} at "
        f"delta={rule.delta:g}, adjacency {rule.adjacency}. "
    )
    if before:
        dearest = max(before, key=lambda part: _rank(part, before[part], rule.delta, rule.adjacency))
        share = rule.cost({dearest: before[dearest]})
        message += (
            f"Spent {round_up(rule.cost(before))} in {events} events; "
            f"largest: {Repeat(before[dearest], dearest)!r} {round_up(share)}. "
        )
    else:
        message += "Nothing is spent yet. "
    if isinstance(event, Repeat):
        message += f"Lower the count from {event.count} to <= {_most(rule, before, event)} or add more noise."
    else:
        message += "Add more noise, or ask for a larger budget."
    if before and rule.cost_in_advance(after) <= rule.epsilon:
        message += (
            f" As ONE charge, fixed before the first answer, all of it would have fitted, at "
            f"epsilon={round_up(rule.cost_in_advance(after))}: charge a whole plan at once."
        )
    raise BudgetExceeded(message)


def _rank(part: Event, count: int, delta: float, adjacency: Adjacency) -> float:
    """A cheap measure of cost: good enough to find the largest."""
    parts, _ = split_failures({part: count})
    try:
        return quick_rdp_epsilon(parts, delta, adjacency) if delta > 0.0 else pure_epsilon(parts, adjacency)[1]
    except UnsupportedEvent:
        return math.inf


def _most(rule: BudgetRule, before: Parts, event: Repeat) -> int:
    """Largest count of the repeated event that still fits."""
    single = distinct(event.event, adjacency=rule.adjacency)

    def with_more(count: int) -> tuple[BudgetRule, dict[Event, int]]:
        total = dict(before)
        for part, number in single.items():
            total[part] = total.get(part, 0) + count * number
        # With nothing charged before, another count is another first charge, which fixes its own check.
        return (rule if before else rule.refixed_by(total)), total

    def fits(count: int) -> bool:
        trial, total = with_more(count)
        return trial.fits(total)

    def cost(count: int) -> float:
        trial, total = with_more(count)
        return trial.cost(total)

    return largest_count(fits, cost, rule.epsilon, event.count - 1)
