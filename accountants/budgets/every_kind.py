"""The rule of a budget that is shared by releases of all kinds: everything is counted as Gaussians that may fail.

A quarter of delta is set aside for failures. A charge counts as follows.

- Gaussians (also votes, trees, factorizations and claims of mu-GDP) count 1 / sigma^2, exactly, and do not fail.
- All other parts of a charge together count as ONE Gaussian that fails with a small probability fixed in advance,
  `accountants.budgets.failing_gaussian`. Parts that are pure count as Gaussians that never fail where that is less.
- (epsilon_i, delta_i)-claims fail with delta_i, and are pure otherwise.

Proof: by domination, the game is one of Gaussians of which the i-th fails openly with probability f_i. The f_i of every run
sum to at most F, so by the argument for claims in `accountants.budgets.budget` the game is within delta if the one
without failures is within (delta - F) / (1 - F), and that is what the Gaussian rule checks. What a charge counts is computed
from the charge and from the number of such conversions before it, hence known before the answer.

A charge may be answered in parts, as a training run is, while other programs charge and choose by what they see of it: an
interactive mechanism is an interactive post-processing of the Gaussian that dominates it, drawn when it was charged.

Because the f_i must be known in advance, they follow a schedule: 16 of delta / 256, then 64 of delta / 2048, then 256 of
delta / 16384 and so on, which sum to delta / 8. The rest of the quarter is for claims.

Sources: Smith, Thakurta 2022 and Koskela, Tobaben, Honkela 2023 (Gaussian filter); Kairouz, Oh, Viswanath 2015 (failures);
Vadhan, Zhang 2023 and Haney et al. 2023 (interactive mechanisms that run at the same time).
"""

import math
from dataclasses import dataclass

from accountants.adjacency import Adjacency
from accountants.budgets.budget import BudgetRule, Parts
from accountants.budgets.exact_sums import Spent
from accountants.budgets.failing_gaussian import failing_gaussian_level
from accountants.budgets.levels import gaussian_level, pure_level
from accountants.budgets.rules import GaussianRule
from accountants.events import ApproxDP, Event, Gaussian, GNMax, PureDP

_FAILURE = 0.25  # share of delta that is set aside
_FIRST_ROW = 16  # conversions at the largest failure; every later row has four times as many


@dataclass(frozen=True, eq=False)
class EveryKindRule(BudgetRule):
    """A budget that takes releases of every kind, in any order; see the text of the module.

    Unlike other rules it counts charges, not parts: a plan charged as one costs less than its steps charged one by one.
    """

    @classmethod
    def fixed_for(cls, *, epsilon: float, delta: float, adjacency: Adjacency) -> "EveryKindRule":
        """The rule of a budget."""
        return cls(epsilon, delta, adjacency, GaussianRule(), _FAILURE * delta)

    def weigh(self, parts: Parts) -> Spent:
        """The sums after these parts as a first charge."""
        return self.added(Spent.nothing(1), parts)

    def added(self, spent: Spent, parts: Parts) -> Spent:
        others: dict[Event, int] = {}
        for part, count in parts.items():
            pure = pure_level(part)
            if isinstance(part, Gaussian | GNMax):
                spent += Spent.of(weights=(gaussian_level(part) or 0.0,), pure=pure, failure=0.0) * count
                continue
            failure = part.delta if isinstance(part, ApproxDP) else 0.0
            spent += Spent.of(weights=(0.0,), pure=pure, failure=failure) * count
            kept = PureDP(part.epsilon) if isinstance(part, ApproxDP) else part
            if kept != PureDP(0.0):
                others[kept] = others.get(kept, 0) + count
        return spent + self._converted(others, spent.conversions) if others else spent

    def counts_quickly(self, parts: Parts) -> bool:
        return all(isinstance(part, Gaussian | GNMax) for part in parts)

    def unsupported_part(self, total: Parts) -> Event | None:
        """None, because the rule takes every kind; what has no finite cost does not fit."""
        return None

    def __str__(self) -> str:
        return "Gaussians that may fail, for releases of every kind"

    def _converted(self, others: Parts, conversions: int) -> Spent:
        """The Gaussian that these parts count as, with its failure; without a failure where that is less."""
        never = Spent.nothing(1)
        for part, count in others.items():
            level = gaussian_level(part)
            never += Spent.of(weights=(math.inf if level is None else level,), pure=0.0, failure=0.0) * count
        failure = self._failure_of(conversions)
        if failure <= 0.0:
            return never
        level = failing_gaussian_level(frozenset(others.items()), failure, self.adjacency)
        if never.weights is not None and never.weights[0] <= level:
            return never
        return Spent.of(weights=(level,), pure=0.0, failure=failure, conversions=1)

    def _failure_of(self, conversions: int) -> float:
        """The failure that the conversion with this number, from 0, has."""
        row, size = 0, _FIRST_ROW
        while conversions >= size:
            conversions, row, size = conversions - size, row + 1, 4 * size
        return 0.5 * self.failure * 0.5 ** (row + 1) / size
