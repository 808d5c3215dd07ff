"""Whether one more charge fits: the sum of all charges, the standing of the budget, and the message of a refusal."""

import math
from collections import Counter

from accountants import check
from accountants.adjacency import Adjacency
from accountants.bound import round_up
from accountants.budgets.budget import BudgetRule, Parts
from accountants.budgets.every_kind import EveryKindRule
from accountants.budgets.largest_count import largest_count
from accountants.budgets.standing import Standing
from accountants.composition.failures import split_failures
from accountants.composition.requirements import require_bounded
from accountants.errors import BudgetExceeded, UnsupportedEvent
from accountants.events import Event, Repeat, distinct
from accountants.events.event import MAX_COUNT
from accountants.ledger.header import Header
from accountants.methods.pure import pure_epsilon
from accountants.methods.renyi.conversion import quick_rdp_epsilon

_EXPLAINED = 200  # different parts; beyond, a message leaves out what would have to be computed anew


class Account:
    """The distinct parts of all charges with their counts, and where the budget stands.

    Args:
        header: of the ledger; states adjacency, budget, and whether the budget takes every kind.

    Attributes:
        parts: distinct parts -> count.
        charges: number of charges.
    """

    def __init__(self, header: Header) -> None:
        self._header = header
        self.parts: Counter[Event] = Counter()
        self.charges = 0
        self._standing: Standing | None = None
        self._waiting: list[Parts] = []  # charges of a file that no sum counts yet, because only looking is free

    def admitted(self, added: Parts, event: Event) -> Standing | None:
        """Where the budget stands after one more charge that fits into it; None without a budget. Changes no sum.

        Args:
            added: distinct parts of the charge.
            event: the charge, for the message.

        Raises:
            BudgetExceeded: the total costs more than the budget, or the check cannot count one of its parts.
            UnsupportedEvent: no accountant can bound an added part.
            ValueError: a total count exceeds 10^15.
        """
        self._require_countable(added)
        after = self.after(added)
        if after is not None and added and not after.is_within():
            raise BudgetExceeded(self._refusal(after, added, event))
        return after

    def after(self, added: Parts) -> Standing | None:
        """Where the budget would stand after one more charge, whether it fits or not; None without a budget."""
        for waiting in self._waiting:
            self._standing = self._moved(self._standing, waiting)
        self._waiting.clear()
        return self._moved(self._standing, added)

    def count(self, added: Parts, standing: Standing | None) -> None:
        """Count a charge that was admitted."""
        self._standing = standing
        self._add(added)

    def take_over(self, added: Parts) -> None:
        """Count a charge that stands in a file, whether it fits or not.

        Raises:
            UnsupportedEvent, ValueError: as for `admitted`.
        """
        self._require_countable(added)
        if self._header.epsilon is not None:
            self._waiting.append(added)
        self._add(added)

    def _require_countable(self, added: Parts) -> None:
        """Refuse parts that no accountant can bound, and totals that are no longer exact."""
        for part, count in added.items():
            if part not in self.parts:
                require_bounded({part: count}, self._header.adjacency)
            check.integer(**{f"total count of {part!r}"[:120]: self.parts[part] + count}, at_most=MAX_COUNT)

    def _add(self, added: Parts) -> None:
        self.charges += 1
        self.parts.update(added)

    def _moved(self, before: Standing | None, added: Parts) -> Standing | None:
        """The standing after one more charge; the first one that costs anything fixes the rule."""
        if not added or self._header.epsilon is None or self._header.delta is None:
            return before
        return before.after(added) if before else self._first(added, self._header.epsilon, self._header.delta)

    def _first(self, added: Parts, epsilon: float, delta: float) -> Standing:
        """The standing after a first charge."""
        budget = {"epsilon": epsilon, "delta": delta, "adjacency": self._header.adjacency}
        rule = EveryKindRule.fixed_for(**budget) if self._header.shared else BudgetRule.fixed_by(added, **budget)
        return Standing.of_first(rule, added)

    def _refusal(self, after: Standing, added: Parts, event: Event) -> str:
        """Why a charge is refused, and what to do instead."""
        rule, before = after.rule, self._standing
        total = self.parts.copy()
        total.update(added)
        unsupported = rule.unsupported_part(total)
        if unsupported is not None:
            return (
                f"{unsupported!r} cannot be counted: this ledger's first charge fixed its budget to be checked by {rule}, "
                "because a check chosen after answers were seen proves nothing. Name one event of every kind in the FIRST "
                "charge (charge(a + b)), open the ledger with shared=True, which takes every kind, or charge a separate "
                "ledger with a budget of its own."
            )
        message = (
            f"this release would cost epsilon={round_up(after.cost())} (upper bound) of {rule.epsilon:g} at "
            f"delta={rule.delta:g}, adjacency {rule.adjacency}. "
        )
        message += "Nothing is spent yet. " if before is None else self._spent(before)
        if isinstance(event, Repeat) and rule.counts_quickly(added):
            message += f"Lower the count from {event.count} to <= {self._most(rule, event)} or add more noise."
        else:
            message += "Add more noise, or ask for a larger budget."
        if before is not None and len(total) <= _EXPLAINED:
            in_advance = rule.cost_in_advance(total)
            if in_advance <= rule.epsilon:
                message += (
                    " As ONE charge, fixed before the first answer, all of it would have fitted, at "
                    f"epsilon={round_up(in_advance)}: charge a whole plan at once."
                )
        return message

    def _spent(self, standing: Standing) -> str:
        """What is spent, in words, and what most of it went to."""
        said, rule = f"Spent {round_up(standing.cost())} in {self.charges} events", standing.rule
        if len(self.parts) > _EXPLAINED:
            return f"{said}. "
        part = max(self.parts, key=lambda part: _rough_cost(part, self.parts[part], rule.delta, rule.adjacency))
        largest = {part: self.parts[part]}
        share = f" {round_up(rule.cost(largest))}" if rule.counts_quickly(largest) else ""
        return f"{said}; largest: {Repeat(self.parts[part], part)!r}{share}. "

    def _most(self, rule: BudgetRule, event: Repeat) -> int:
        """Largest count of the repeated event that still fits."""
        before, single = self._standing, distinct(event.event, adjacency=rule.adjacency)

        def after(count: int) -> Standing:
            added = {part: count * number for part, number in single.items()}
            # Where nothing is spent yet, another count is another first charge, which fixes its own check.
            return before.after(added) if before else self._first(added, rule.epsilon, rule.delta)

        return largest_count(
            lambda count: after(count).is_within(), lambda count: after(count).cost(), rule.epsilon, event.count - 1
        )


def _rough_cost(part: Event, count: int, delta: float, adjacency: Adjacency) -> float:
    """A cheap measure of cost, good enough to find the largest."""
    parts, _ = split_failures({part: count})
    try:
        return quick_rdp_epsilon(parts, delta, adjacency) if delta > 0.0 else pure_epsilon(parts, adjacency)[1]
    except UnsupportedEvent:
        return math.inf
