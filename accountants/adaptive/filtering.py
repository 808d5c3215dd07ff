"""How a budget stays a promise when later charges are chosen after earlier answers were seen: a privacy filter.

A check that may itself be chosen late is no check. Whoever may use, after each answer, the accountant or the Rényi
order that happens to leave most room, gets more than any single one allows: with 10 binary responses at eps0=0.5,
epsilon=8 and delta=1e-5, "some order is within budget" lets 1.36 delta through. So the FIRST charge, which is chosen
before anything was seen, fixes the check for good:

- Gaussians only: the exact Gaussian curve. Any later Gaussian counts, and a pure guarantee counts as the Gaussian
  that dominates it. Sum of mu_i^2 <= mu^2 gives mu-GDP, however mu_i was chosen.
- Responses of one eps0 only: the exact law, all taken as k-ary with the first charge's smallest k. Later pure
  releases with eps0 no larger and k no smaller are dominated, release by release, and count as one each.
- One declared (epsilon, delta)-claim: more of the same claim.
- Everything else: the summed Rényi curves at ONE order, the best one for repeating the first charge.

The first charge by itself is a plan fixed in advance and may use any accountant. Totals whose pure guarantees add up to
at most epsilon always fit: on such a path the loss never exceeds epsilon.

Sources: Rogers, Roth, Ullman, Vadhan 2016 (pure filter); Feldman, Zrnic 2021 (Rényi filter at one order);
Smith, Thakurta 2022 and Koskela, Tobaben, Honkela 2023 (Gaussian filter); Kairouz, Oh, Viswanath 2015 (domination).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from scipy.special import ndtri

from accountants.adjacency import Adjacency
from accountants.composition import epsilon_of_parts, is_quickly_within
from accountants.events import ApproxDP, Event, Gaussian, GNMax, PureDP, RandomizedResponse, merge_gaussians
from accountants.exact.table import pure_epsilon
from accountants.rdp.conversion import best_order_to_repeat, rdp_epsilon_at

__all__ = ["Filter", "dominating_gaussian"]

Parts = Mapping[Event, int]

_ULP = 2.0**-53


@dataclass(frozen=True, eq=False)
class Filter:
    """The check of a budget that a ledger's first charge has fixed; sound for adaptively chosen charges.

    Attributes:
        first: distinct parts of the first charge that costs anything, with their counts.
        epsilon: budget, nats.
        delta: failure mass of the budget, in [0, 1).
        adjacency: neighbouring relation.
    """

    first: Parts
    epsilon: float
    delta: float
    adjacency: Adjacency

    def fits(self, total: Parts) -> bool:
        """Whether a ledger may hold this total."""
        counted = self._counted(total)
        if counted is not None and is_quickly_within(counted, self.epsilon, self.delta, self.adjacency):
            return True
        return self.cost(total) <= self.epsilon

    def cost(self, total: Parts) -> float:
        """What the total costs under this check, nats, rounded up; infinite if it cannot be counted."""
        counted = self._counted(total)
        if counted is not None:
            found = epsilon_of_parts(merge_gaussians(counted), self.delta, self.adjacency).upper
        elif self._rule is None and self.delta > 0.0:
            found = rdp_epsilon_at(total, self.delta, self._order)
        else:
            found = math.inf
        return min(found, pure_epsilon(total)[1])

    def stranger(self, total: Parts) -> Event | None:
        """The first part that this check cannot count, or None."""
        if total == self.first or self._rule is None:
            return None
        return next((part for part in total if self._rule(part) is None), None)

    def __str__(self) -> str:
        """The check in words, for messages."""
        if self._rule is None:
            return f"the Rényi curves at order {self._order:.4g}"
        first = next(iter(self.first))
        if isinstance(first, Gaussian | GNMax):
            return "the exact Gaussian curve"
        return f"the exact law of repeated {self._rule(first)!r}"

    def _counted(self, total: Parts) -> Parts | None:
        """The total in parts whose exact cost is a filter, or None."""
        if total == self.first:
            return total
        counted: dict[Event, int] = {}
        for part, count in total.items():
            taken = self._rule(part) if self._rule is not None else None
            if taken is None:
                return None
            counted[taken] = counted.get(taken, 0) + count
        return counted

    @cached_property
    def _rule(self) -> Callable[[Event], Event | None] | None:
        """Turns a part into the one that it is counted as, or into None; no rule means one Rényi order."""
        if all(isinstance(part, Gaussian | GNMax) for part in self.first):
            return _as_gaussian
        responses = [_as_response(part) for part in self.first]
        if None not in responses and len({one.eps0 for one in responses if one}) == 1:
            dearest = min((one for one in responses if one), key=lambda one: one.k)
            return lambda part: dearest if _is_dominated(_as_response(part), dearest) else None
        (first, *others) = self.first
        if isinstance(first, ApproxDP) and not others:
            return lambda part: part if part == first else None
        return None

    @cached_property
    def _order(self) -> float:
        return best_order_to_repeat(self.first, self.epsilon, self.delta)


def dominating_gaussian(response: RandomizedResponse) -> Gaussian:
    """The noisiest Gaussian, rounded down, that reveals at least as much as one randomized response, at every epsilon.

    The trade-off curve of the response has two corners, (q, 1 - p) and its mirror image, with p and q the chances of
    the true and of any one other symbol. A convex curve through both lies below it everywhere.

    Args:
        response: the release; binary response stands for any release that is eps0-DP.

    Returns:
        Gaussian(1 / mu) with mu = Phi^-1(p) - Phi^-1(q), sigma 0 where q underflows.

    Source: Dong, Roth, Su 2019 (trade-off curves and domination).

    Example:
        >>> round(dominating_gaussian(RandomizedResponse(k=2, eps0=1.0)).sigma, 4)
        0.8117
    """
    log_others = math.log(response.k - 1)
    log_total = max(response.eps0, log_others) + math.log1p(math.exp(-abs(response.eps0 - log_others)))
    kept, other = math.exp(response.eps0 - log_total), math.exp(-log_total)
    # The quantile of the smaller side is the accurate one.
    upper = float(ndtri(kept)) if kept < 0.5 else -float(ndtri(math.exp(log_others - log_total)))
    mu = upper - float(ndtri(other))
    # A chance that is off by a share moves its quantile by at most 1.3 times that share.
    mu += 16.0 * _ULP * (4.0 + log_total + response.eps0 + abs(upper) + abs(mu))
    return Gaussian(sigma=(1.0 - 4.0 * _ULP) / mu)


def _as_gaussian(part: Event) -> Event | None:
    if isinstance(part, Gaussian | GNMax):
        return part
    response = _as_response(part)
    return None if response is None else dominating_gaussian(response)


def _as_response(part: Event) -> RandomizedResponse | None:
    """Binary response stands for a pure guarantee."""
    if isinstance(part, PureDP):
        return RandomizedResponse(2, part.epsilon)
    return part if isinstance(part, RandomizedResponse) else None


def _is_dominated(part: RandomizedResponse | None, dearest: RandomizedResponse) -> bool:
    return part is not None and part.eps0 <= dearest.eps0 and part.k >= dearest.k
