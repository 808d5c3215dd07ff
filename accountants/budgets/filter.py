"""The privacy filter: says, release by release, whether a budget still allows the next one."""

from accountants import check
from accountants.adjacency import Adjacency
from accountants.budgets.budget import BudgetRule, Parts, distinct_parts
from accountants.budgets.exact_sums import Spent
from accountants.budgets.largest_count import largest_count
from accountants.budgets.rules import Rule
from accountants.budgets.standing import Standing
from accountants.budgets.uncopied import Uncopied
from accountants.errors import UnsupportedEvent
from accountants.events import Event
from accountants.events.event import MAX_COUNT


class Filter(Uncopied):
    """A budget for releases that are chosen after earlier answers were seen, in kind, noise and number.

    Spend first, add noise after: `try_spend` says whether the next release is allowed, and counts it if so. Everything
    allowed together is (epsilon, delta)-DP, whatever the choices depended on. One rule, fixed before any answer, decides:

    - `rule=` names it: `GaussianRule()`, `CopiesRule(event)`, `RenyiRule(orders)` or `ZCDPRule()` of
      `accountants.budgets.rules`, where the proofs are;
    - `plan=` lets it suit a plan, for example the training that is expected to run; the plan itself is not spent;
    - otherwise the first spend is the plan, which may then use any accountant, as in a `Ledger` with a budget.

    All methods are thread-safe. A filter cannot be copied or pickled, and a forked process cannot spend from it. It keeps
    sums only; a `Ledger` with a budget is the filter that also keeps a record and has a file.

    Args:
        epsilon: budget, nats.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation of every event.
        plan: public; chosen before any answer was seen.
        rule: public; chosen before any answer was seen; not together with `plan`.
        failure: with `rule`, the part of delta, in [0, delta), that is set aside for failures of (epsilon_i,
            delta_i)-claims, which can be spent only then.

    Raises:
        AdjacencyError: the plan is not stated for the adjacency.
        UnsupportedEvent: no accountant can bound the plan.
        TypeError: `rule` is no rule, or `plan` no event.
        ValueError: an argument is out of range, the plan costs nothing, or `plan` and `rule` are both given.

    Example:
        >>> from accountants.events import Gaussian
        >>> budget = Filter(1.0, 1e-5)
        >>> budget.try_spend(Gaussian(sigma=5)), budget.try_spend(Gaussian(sigma=5)), budget.try_spend(Gaussian(sigma=30))
        (True, False, True)
        >>> budget.remaining(Gaussian(sigma=30))
        27
    """

    def __init__(
        self,
        epsilon: float,
        delta: float,
        *,
        adjacency: str = "add-remove",
        plan: Event | None = None,
        rule: Rule | None = None,
        failure: float = 0.0,
    ) -> None:
        check.real(epsilon=epsilon, at_least=0.0)
        check.probability_mass(delta=delta, failure=failure)
        self._epsilon, self._delta, self._adjacency = float(epsilon), float(delta), Adjacency(adjacency)
        if rule is not None and not isinstance(rule, Rule):
            raise TypeError(
                f"{check.given('rule', rule)} must be a rule of accountants.budgets.rules: GaussianRule(), "
                "CopiesRule(event), RenyiRule(orders) or ZCDPRule(); or pass plan=event, which picks one"
            )
        if plan is not None and rule is not None:
            raise ValueError(f"plan={plan!r} and rule={rule!r} are both given; pass the one that shall fix the check")
        if failure and (rule is None or failure >= delta):
            raise ValueError(f"failure={failure!r} needs rule=... and must be < delta={delta!r}")
        fixed = None
        if rule is not None:
            fixed = BudgetRule(self._epsilon, self._delta, self._adjacency, rule, float(failure))
        elif plan is not None:
            parts = distinct_parts(plan, 1, self._adjacency)
            if not parts:
                raise ValueError(f"plan={plan!r} costs nothing and fits no rule; pass what is expected to be spent")
            fixed = self._fixed_by(parts)
        self._standing = None if fixed is None else Standing(fixed, Spent.nothing(fixed.rule.size))
        self._note_process()

    @property
    def epsilon(self) -> float:
        """The budget, nats."""
        return self._epsilon

    @property
    def delta(self) -> float:
        """Failure mass of the budget."""
        return self._delta

    @property
    def adjacency(self) -> Adjacency:
        """Neighbouring relation of every event."""
        return self._adjacency

    @property
    def rule(self) -> str:
        """The rule that decides, in words."""
        standing = self._standing
        return "fixed by the first spend" if standing is None else str(standing.rule)

    @property
    def spent(self) -> float:
        """What the rule counts so far, nats, rounded up; at most the budget.

        It says how full the budget is. It is no guarantee of its own if the choices depended on answers: then only the
        whole budget is proven (an `Odometer` proves a running number).
        """
        standing = self._standing
        return 0.0 if standing is None else standing.cost()

    def try_spend(self, event: Event, count: int = 1) -> bool:
        """Count the event if the budget allows it; call this before the noise is drawn, and release nothing on False.

        A refused spend changes nothing; a smaller one may still fit. A crash after the call can only over-count.

        Args:
            event: what is about to be done.
            count: how often, >= 0.

        Returns:
            Whether it is allowed.

        Raises:
            UnsupportedEvent: the rule cannot count the event, or no accountant can bound it; nothing was counted.
            LedgerError: a forked process spends.
            AdjacencyError: the event is not stated for the filter's adjacency.
            ValueError: count is out of range.
        """
        added = distinct_parts(event, count, self._adjacency)
        self._require_own_process()
        with self._changing():
            if added:
                after = self._after(self._standing, added)
                if not self._admits(after, added):
                    return False
                self._standing = after
            return True

    def remaining(self, event: Event) -> int:
        """How often the event can be spent now, in one go: the largest count that `try_spend` allows, at most 10^15.

        There is no such number in nats, because costs do not add up.

        Raises:
            UnsupportedEvent: the rule cannot count the event, or no accountant can bound it.
            AdjacencyError: the event is not stated for the filter's adjacency.
        """
        before, single = self._standing, distinct_parts(event, 1, self._adjacency)
        if not single:
            return MAX_COUNT

        def after(count: int) -> tuple[Standing, Parts]:
            added = {part: count * number for part, number in single.items()}
            return self._after(before, added), added

        return largest_count(
            lambda count: self._admits(*after(count)),
            lambda count: after(count)[0].cost(),
            self._epsilon,
            MAX_COUNT // max(single.values()),
        )

    def _after(self, before: Standing | None, added: Parts) -> Standing:
        """The standing once these parts are spent, whether they fit or not; a first spend fixes the rule."""
        if before is None:
            return Standing.of_first(self._fixed_by(added), added)
        return before.after(added)

    def _admits(self, after: Standing, added: Parts) -> bool:
        """Whether the budget allows this standing, which these parts have led to."""
        if after.is_within():
            return True
        unsupported = after.rule.unsupported_part(added)
        if unsupported is not None:
            raise UnsupportedEvent(
                f"{unsupported!r} cannot be counted by this filter's rule, which is {after.rule}, and a rule chosen after "
                "answers were seen proves nothing; nothing was spent. Open the filter with plan=a + b that names one event "
                "of every kind, or with rule=RenyiRule(...), or spend from a filter of its own"
            )
        return False

    def _fixed_by(self, plan: Parts) -> BudgetRule:
        return BudgetRule.fixed_by(plan, epsilon=self._epsilon, delta=self._delta, adjacency=self._adjacency)

    def __repr__(self) -> str:
        return f"<Filter epsilon={self._epsilon:g} delta={self._delta:g} {self._adjacency}, {self.rule}>"
