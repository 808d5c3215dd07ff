"""Where a budget stands: the rule that checks it and what the rule has counted."""

from dataclasses import replace
from typing import NamedTuple

from accountants.budgets.budget import BudgetRule, Parts
from accountants.budgets.exact_sums import Spent


class Standing(NamedTuple):
    """A budget's rule and what it has counted; replaced as a whole, so that nobody ever sees half a charge.

    Attributes:
        rule: fixed before the first answer.
        spent: the rule's sums.
        first: the parts of the first charge while there is no other: they may use any accountant.
    """

    rule: BudgetRule
    spent: Spent
    first: Parts | None = None

    @classmethod
    def of_first(cls, rule: BudgetRule, first: Parts) -> "Standing":
        """The standing after the first charge, which has fixed the rule."""
        return cls(replace(rule, first=first), rule.weigh(first), first)

    def after(self, added: Parts) -> "Standing":
        """The standing once one more charge, of these parts, is made, whether it fits or not."""
        return Standing(self.rule, self.rule.added(self.spent, added))

    def is_within(self) -> bool:
        """Whether everything counted fits into the budget."""
        return self.rule.admits(self.spent) if self.first is None else self.rule.fits(self.first)

    def cost(self) -> float:
        """What everything counted costs, nats, rounded up; infinite if the rule cannot count it."""
        return self.rule.cost_of(self.spent) if self.first is None else self.rule.cost(self.first)
