"""A budget and the rule that checks it, which is fixed before anything was seen: by a plan or by the first charge.

- Gaussians only: the Gaussian rule.
- Responses (or pure guarantees) of one eps0 only: copies of the one with the smallest alphabet.
- One kind of (epsilon, delta)-claim: copies of it.
- Everything else: the Rényi rule at ONE order, the best one for repeating the plan. If it names claims too, half
  of delta is set aside for their failures.

Three additions keep the promise of a rule that admits only what has value at most delta.

The first charge by itself is a plan fixed in advance and may use any accountant. If the rule does not admit it, nothing
with a weight is admitted after it, so the game ends there.

Totals whose pure guarantees add up to at most epsilon always fit: on such a run L never exceeds epsilon, so that it adds
nothing to the value, and every other run obeys the rule.

Claims of (epsilon_i, delta_i) count as pure releases once a part F of delta is set aside and the delta_i of every run sum
to at most F. Proof: the worst mechanism of a claim fails openly with probability delta_i and is a pure one otherwise.
Let w be the product of the (1 - delta_i) of a run, which is at least 1 - F. If v = (1 - e^(epsilon - L))_+ on the
pure game, the value is E[1 - w + w v] <= F + (1 - F) E[v], which is delta if the pure game is within
(delta - F) / (1 - F).

Sources: Rogers, Roth, Ullman, Vadhan 2016 (pure filter); Kairouz, Oh, Viswanath 2015 (claims).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from accountants import check
from accountants.adjacency import Adjacency
from accountants.budgets.exact_sums import Spent, rounded_up
from accountants.budgets.levels import as_response, pure_level
from accountants.budgets.rules import CopiesRule, GaussianRule, RenyiRule, Rule
from accountants.composition.epsilon import epsilon_of_parts, is_quickly_within
from accountants.composition.failures import left_over, split_failures
from accountants.composition.requirements import require_adjacency
from accountants.events import ApproxDP, Event, Gaussian, GNMax, PureDP, Repeat, distinct, merge_gaussians
from accountants.methods.method import Parts
from accountants.methods.renyi.conversion import best_order_to_repeat


@dataclass(frozen=True, eq=False)
class BudgetRule:
    """A budget and its rule; sound for releases chosen after earlier answers were seen.

    Attributes:
        epsilon: budget, nats; infinite for an odometer.
        delta: failure mass of the budget, in [0, 1).
        adjacency: neighbouring relation.
        rule: what is counted.
        failure: part of delta, in [0, delta), set aside for failures of (epsilon, delta)-claims.
        first: distinct parts of the first charge, which alone may use any accountant; None if a plan fixed the rule.
    """

    epsilon: float
    delta: float
    adjacency: Adjacency
    rule: Rule
    failure: float = 0.0
    first: Parts | None = None

    @classmethod
    def fixed_by(cls, plan: Parts, *, epsilon: float, delta: float, adjacency: Adjacency) -> "BudgetRule":
        """The rule that suits a plan: distinct parts that cost something, chosen before anything was seen; not empty."""
        if all(isinstance(part, Gaussian | GNMax) for part in plan):
            return cls(epsilon, delta, adjacency, GaussianRule())
        responses = [response for part in plan if (response := as_response(part)) is not None]
        if len(responses) == len(plan) and len({response.eps0 for response in responses}) == 1:
            return cls(epsilon, delta, adjacency, CopiesRule(min(responses, key=lambda response: response.k)))
        only, *others = plan
        if isinstance(only, ApproxDP) and not others:
            return cls(epsilon, delta, adjacency, CopiesRule(only))
        failure = 0.5 * delta if any(isinstance(part, ApproxDP) for part in plan) else 0.0
        has_curve = RenyiRule((2.0,)).weigh
        counted = {
            part: count for part, count in split_failures(plan)[0].items() if has_curve(part, adjacency) is not None
        }
        left = _left_of(delta, failure)
        order = best_order_to_repeat(counted, epsilon, left, adjacency) if counted and left > 0.0 else 2.0
        return cls(epsilon, delta, adjacency, RenyiRule((order,)), failure)

    def fits(self, total: Parts) -> bool:
        """Whether this total is admitted; the first charge alone may use any accountant."""
        if total == self.first:
            if is_quickly_within(total, self.epsilon, self.delta, self.adjacency):
                return True
            if self.cost_in_advance(total) <= self.epsilon:
                return True
        return self.admits(self.weigh(total))

    def cost(self, total: Parts) -> float:
        """What the total costs, nats, rounded up; infinite if the rule cannot count it."""
        found = self.cost_of(self.weigh(total))
        return min(found, self.cost_in_advance(total)) if total == self.first else found

    def cost_in_advance(self, total: Parts) -> float:
        """What the total costs as a plan fixed in advance, by the tightest accountant, nats, rounded up."""
        return _price(frozenset(total.items()), self.delta, self.adjacency)

    def admits(self, spent: Spent) -> bool:
        """Whether these sums are admitted."""
        if spent.pure_epsilon <= self.epsilon:
            return True
        sums, left = self.usable(spent)
        return sums is not None and self.rule.is_within(sums, self.epsilon, left, self.adjacency)

    def cost_of(self, spent: Spent) -> float:
        """What these sums cost, nats, rounded up; infinite if the rule cannot count them."""
        sums, left = self.usable(spent)
        price = math.inf if sums is None else self.rule.price(sums, left, self.adjacency)
        return min(spent.pure_epsilon, price)

    def weigh(self, parts: Parts) -> Spent:
        """What these parts add to the sums."""
        total = Spent.nothing(self.rule.size)
        for part, count in parts.items():
            total += _weighed(self.rule, part, self.adjacency, self.failure > 0.0) * count
        return total

    def added(self, spent: Spent, parts: Parts) -> Spent:
        """The sums once one more charge, of these parts, is made."""
        return spent + self.weigh(parts)

    def counts_quickly(self, parts: Parts) -> bool:
        """Whether `added` takes next to no time, so that it may be tried for many counts."""
        return True

    def unsupported_part(self, total: Parts) -> Event | None:
        """The first part that the rule cannot count, or None."""
        if total == self.first:
            return None
        return next((part for part in total if self.weigh({part: 1}).counted is None), None)

    def __str__(self) -> str:
        """The rule in words, for messages."""
        return f"{self.rule}, {self.failure:.4g} of delta set aside for failures" if self.failure else str(self.rule)

    def usable(self, spent: Spent) -> tuple[tuple[float, ...] | None, float]:
        """The rule's sums, None if they bound nothing, and the delta that is left for them beside the failures."""
        left = _left_of(self.delta, self.failure)
        usable = left > 0.0 and rounded_up(spent.failures) <= self.failure
        return (spent.weights if usable else None), left


def distinct_parts(event: Event, count: int, adjacency: Adjacency) -> dict[Event, int]:
    """The distinct parts of an event that is done `count` times, with how often each of them is done.

    Raises:
        AdjacencyError: the event is not stated for the adjacency.
        ValueError: count is negative, or a total count exceeds 10^15.
    """
    check.integer(count=count, at_least=0)
    require_adjacency(event, adjacency)
    return distinct(event if count == 1 else Repeat(count, event), adjacency=adjacency)


@lru_cache(maxsize=64)
def _price(total: frozenset[tuple[Event, int]], delta: float, adjacency: Adjacency) -> float:
    return epsilon_of_parts(merge_gaussians(dict(total)), delta, adjacency, needs_lower=False).upper


@lru_cache(maxsize=4096)
def _weighed(rule: Rule, part: Event, adjacency: Adjacency, takes_claims: bool) -> Spent:
    """What one release adds; claims that the rule cannot count may be split into a failure and a pure release."""
    weights, failure = rule.weigh(part, adjacency), 0.0
    if weights is None and takes_claims and isinstance(part, ApproxDP):
        failure = part.delta
        weights = rule.weigh(PureDP(part.epsilon), adjacency) if part.epsilon > 0.0 else (0.0,) * rule.size
    return Spent.of(weights=weights, pure=pure_level(part), failure=failure)


def _left_of(delta: float, failure: float) -> float:
    return left_over(delta, (failure, failure))[0]
