"""Whether one more charge fits into a budget, and the message when it does not."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from accountants.adjacency import Adjacency
from accountants.bound import round_up
from accountants.budgets.budget import BudgetRule
from accountants.budgets.exact_sums import Spent
from accountants.budgets.largest_count import largest_count
from accountants.composition.failures import split_failures
from accountants.errors import BudgetExceeded, UnsupportedEvent
from accountants.events import Event, Repeat, distinct
from accountants.methods.pure import pure_epsilon
from accountants.methods.renyi.conversion import quick_rdp_epsilon

__all__ = ["Standing", "require_within"]

Parts = Mapping[Event, int]

_EXPLAINED = 200  # different parts; beyond, a message leaves out what would have to be computed anew


class Standing(NamedTuple):
    """A budget's rule and what it has counted."""

    rule: BudgetRule
    spent: Spent


def require_within(
    before: Standing | None, after: Standing, charged: Parts, added: Parts, event: Event, *, charges: int
) -> None:
    """Refuse a charge that costs more than the budget.

    Args:
        before: where the budget stands; None if nothing that costs anything was charged.
        after: where it would stand with the new charge.
        charged: distinct parts of all charges before.
        added: those of the new charge.
        event: the new charge, for the message.
        charges: number of charges so far, for the message.

    Raises:
        BudgetExceeded: the total costs more than the budget, or the check cannot count one of its parts.
    """
    rule, spent = after
    if rule.fits(added) if before is None else rule.admits(spent):
        return
    total = dict(charged)
    for part, count in added.items():
        total[part] = total.get(part, 0) + count
    stranger = rule.stranger(total)
    if stranger is not None:
        raise BudgetExceeded(
            f"{stranger!r} cannot be counted: this ledger's first charge fixed its budget to be checked by {rule}, "
            "because a check chosen after answers were seen proves nothing. Name one event of every kind in the FIRST "
            "charge (charge(a + b)), open the ledger with shared=True, which takes every kind, or charge a separate "
            "ledger with a budget of its own."
        )
    cost = rule.cost(added) if before is None else rule.cost_of(spent)
    message = (
        f"this release would cost epsilon={round_up(cost)} (upper bound) of {rule.epsilon:g} at "
        f"delta={rule.delta:g}, adjacency {rule.adjacency}. "
    )
    message += "Nothing is spent yet. " if before is None else _about_spending(before, charged, charges)
    if isinstance(event, Repeat) and rule.counts_quickly(added):
        message += f"Lower the count from {event.count} to <= {_most(before, rule, event)} or add more noise."
    else:
        message += "Add more noise, or ask for a larger budget."
    if before is not None and len(total) <= _EXPLAINED:
        in_advance = rule.cost_in_advance(total)
        if in_advance <= rule.epsilon:
            message += (
                " As ONE charge, fixed before the first answer, all of it would have fitted, at "
                f"epsilon={round_up(in_advance)}: charge a whole plan at once."
            )
    raise BudgetExceeded(message)


def _about_spending(before: Standing, charged: Parts, charges: int) -> str:
    rule, spent = before
    cost = rule.cost_of(spent)
    if rule.is_first(charged):
        cost = min(cost, rule.cost_in_advance(charged))
    said = f"Spent {round_up(cost)} in {charges} events"
    if len(charged) > _EXPLAINED:
        return f"{said}. "
    dearest = max(charged, key=lambda part: _rank(part, charged[part], rule.delta, rule.adjacency))
    largest = {dearest: charged[dearest]}
    share = f" {round_up(rule.cost(largest))}" if rule.counts_quickly(largest) else ""
    return f"{said}; largest: {Repeat(charged[dearest], dearest)!r}{share}. "


def _rank(part: Event, count: int, delta: float, adjacency: Adjacency) -> float:
    """A cheap measure of cost: good enough to find the largest."""
    parts, _ = split_failures({part: count})
    try:
        return quick_rdp_epsilon(parts, delta, adjacency) if delta > 0.0 else pure_epsilon(parts, adjacency)[1]
    except UnsupportedEvent:
        return math.inf


def _most(before: Standing | None, rule: BudgetRule, event: Repeat) -> int:
    """Largest count of the repeated event that still fits."""
    single = distinct(event.event, adjacency=rule.adjacency)

    def times(count: int) -> dict[Event, int]:
        return {part: count * number for part, number in single.items()}

    def fits(count: int) -> bool:
        if before is None:  # another count is another first charge, which fixes its own check
            return rule.refixed_by(times(count)).fits(times(count))
        return rule.admits(rule.added(before.spent, times(count)))

    def cost(count: int) -> float:
        if before is None:
            return rule.refixed_by(times(count)).cost(times(count))
        return rule.cost_of(rule.added(before.spent, times(count)))

    return largest_count(fits, cost, rule.epsilon, event.count - 1)
