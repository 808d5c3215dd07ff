"""What the charges of a ledger add up to, and how that stands to its budget."""

from collections.abc import Mapping
from dataclasses import dataclass

from accountants import check
from accountants.adjacency import Adjacency
from accountants.budgets.budget import BudgetRule
from accountants.budgets.every_kind import EveryKindRule
from accountants.composition.requirements import require_bounded
from accountants.events import Event
from accountants.events.event import MAX_COUNT
from accountants.ledger.charging import Standing, require_within

__all__ = ["Account"]

Parts = Mapping[Event, int]


@dataclass(eq=False)
class Account:
    """The distinct parts of all charges with their counts, and the sums that a budget looks at.

    Attributes:
        adjacency: neighbouring relation.
        epsilon: budget, nats, or None.
        delta: failure mass of the budget, or None.
        takes_every_kind: whether the budget is checked by `EveryKindRule`, and not by what the first charge fixes.
        parts: distinct parts -> count.
        charges: number of charges.
    """

    adjacency: Adjacency
    epsilon: float | None
    delta: float | None
    takes_every_kind: bool

    def __post_init__(self) -> None:
        self.parts: dict[Event, int] = {}
        self.charges = 0
        self._standing: Standing | None = None
        self._waiting: list[
            Parts
        ] = []  # charges of a file that the sums do not count yet, because only looking is free

    def require_countable(self, added: Parts) -> None:
        """Refuse parts that no accountant can bound, and totals that are no longer exact.

        Raises:
            UnsupportedEvent: no accountant can bound an added part.
            ValueError: a total count exceeds 10^15.
        """
        for part, count in added.items():
            before = self.parts.get(part, 0)
            if not before:
                require_bounded({part: count}, self.adjacency)
            check.integer(**{f"total count of {part!r}"[:120]: before + count}, at_most=MAX_COUNT)

    def admitted(self, added: Parts, event: Event) -> Standing | None:
        """Where the budget stands after one more charge that fits into it; None without a budget.

        Args:
            added: distinct parts of the charge.
            event: the charge, for the message.

        Raises:
            BudgetExceeded: it does not fit.
        """
        after = self.after(added)
        if after is not None and added:
            require_within(self._standing, after, self.parts, added, event, charges=self.charges)
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
        """Count a charge that stands in a file, whether it fits or not."""
        if self.epsilon is not None:
            self._waiting.append(added)
        self._add(added)

    def _add(self, added: Parts) -> None:
        self.charges += 1
        for part, count in added.items():
            self.parts[part] = self.parts.get(part, 0) + count

    def _moved(self, before: Standing | None, added: Parts) -> Standing | None:
        """The standing after one more charge; the first one that costs anything fixes the rule."""
        if not added or self.epsilon is None or self.delta is None:
            return before
        if before is not None:
            return Standing(before.rule, before.rule.added(before.spent, added))
        budget = {"epsilon": self.epsilon, "delta": self.delta, "adjacency": self.adjacency, "first": added}
        rule = EveryKindRule.fixed_for(**budget) if self.takes_every_kind else BudgetRule.fixed_by(added, **budget)
        return Standing(rule, rule.weigh(added))
