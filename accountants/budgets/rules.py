"""Rules that keep a budget a promise although later releases are chosen after earlier answers were seen.

The game. Somebody fixes two neighbouring data sets and then picks, after every answer, the next release or the end. Let
L be the log of the chances of all answers under one data set over those under the other. The game is (epsilon, delta)-DP
if its value E[(1 - e^(epsilon - L))_+] is at most delta in both directions, whoever plays. Each rule gives every
release weights before it runs, and admits it while the sums of weights stay within a bound that was fixed in advance.
Each release is finished before the next one is chosen.

A check chosen late is no check: whoever may use, after the answers, the Rényi order (or the accountant) that happens to
leave most room, gets more than any single one allows. With ten binary responses at eps0=0.5, epsilon=8 and
delta=1e-5, "some order is within budget" lets 1.36 delta through.

Domination. The value of the rest of a game is a convex function of e^(-L), being a supremum of hockey sticks averaged
over answers. If the pair (P, Q) dominates a release, the release can be drawn from (P, Q) by forgetting something, so by
Jensen it can be exchanged for (P, Q) without lowering the value: only the most revealing pair of a weight matters.
"""

import math
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from accountants import check
from accountants.adjacency import Adjacency
from accountants.budgets.largest_count import largest_count
from accountants.budgets.levels import concentrated_level, gaussian_level, is_dominated
from accountants.composition.epsilon import epsilon_of_parts, is_quickly_within
from accountants.errors import UnsupportedEvent
from accountants.events import ApproxDP, Event, Gaussian, distinct
from accountants.events.event import MAX_COUNT
from accountants.methods.exact import gaussian
from accountants.methods.renyi.conversion import epsilon_at_orders, rdp_epsilon
from accountants.methods.renyi.renyi import renyi
from accountants.numerics.root_finding import last_inside

Weights = tuple[float, ...]

_UP = 1.0 + 2.0**-48  # covers the roundings of a square root and a quotient


class Rule(ABC):
    """What a budget counts: the weights of a release, which add up, and the epsilon that their sums cost."""

    @property
    def size(self) -> int:
        """How many weights a release has."""
        return 1

    @abstractmethod
    def weigh(self, part: Event, adjacency: Adjacency) -> Weights | None:
        """The weights of one release, >= 0, rounded up, maybe infinite; None if the rule cannot count it.

        Args:
            part: as `events.distinct` gives them.
            adjacency: neighbouring relation.
        """

    @abstractmethod
    def price(self, sums: Weights, delta: float, adjacency: Adjacency) -> float:
        """The smallest epsilon, nats, rounded up, whose budget at this delta, in (0, 1), allows the sums."""

    def is_within(self, sums: Weights, epsilon: float, delta: float, adjacency: Adjacency) -> bool:
        """Whether the budget allows the sums."""
        return self.price(sums, delta, adjacency) <= epsilon

    @abstractmethod
    def __str__(self) -> str:
        """The rule in words, for messages."""


@dataclass(frozen=True)
class GaussianRule(Rule):
    """The sum of mu_i^2 is at most mu^2, with mu the largest one that is (epsilon, delta)-DP; everything is then mu-GDP.

    A Gaussian counts 1 / sigma^2, a pure guarantee as the Gaussian that dominates it, a claim of mu-GDP as mu^2.

    Proof: let V(s, L) be the value of spending all of s at once and stopping. Gaussians compose to Gaussians, so spending
    mu_i^2 <= s first and the rest afterwards has the same value V(s, L), for every L; and V does not fall in s. Backwards
    from the last release, no choice beats V(s, L). With s = mu^2 and L = 0 that is the delta of one Gaussian.
    Source: Smith, Thakurta 2022; Koskela, Tobaben, Honkela 2023.
    """

    def weigh(self, part: Event, adjacency: Adjacency) -> Weights | None:
        level = gaussian_level(part)
        return None if level is None else (level,)

    def price(self, sums: Weights, delta: float, adjacency: Adjacency) -> float:
        return gaussian.epsilon_of(math.sqrt(sums[0]) * _UP, delta)[1]

    def is_within(self, sums: Weights, epsilon: float, delta: float, adjacency: Adjacency) -> bool:
        return gaussian.delta_of(math.sqrt(sums[0]) * _UP, epsilon)[1] <= delta

    def __str__(self) -> str:
        return "the exact Gaussian curve"


@dataclass(frozen=True)
class CopiesRule(Rule):
    """At most as many releases as there are copies of the most expensive release that are (epsilon, delta)-DP, exactly.

    Counts what that release dominates: for a randomized response or a pure guarantee, pure releases of no larger
    eps0 answered among no fewer symbols; for an (epsilon, delta)-claim, claims with both numbers no larger; for a
    Poisson-sampled Gaussian, others of no larger q and no smaller sigma; for anything else, itself.

    Proof: by domination every release is a copy of the most expensive one. By the argument of the Gaussian rule, with the number
    of copies left in place of s, no choice beats running all of them.
    Source: Kairouz, Oh, Viswanath 2015 (responses and claims). A smaller q is a sample of the sample, a larger sigma is more
    noise on the same sample.

    Attributes:
        dearest: the most expensive release, which everything is counted as; it costs something.
    """

    dearest: Event

    def __post_init__(self) -> None:
        parts = distinct(self.dearest)
        if list(parts.values()) != [1]:
            raise ValueError(
                f"dearest={self.dearest!r} must be ONE release that costs something; counts come with the spends"
            )
        object.__setattr__(self, "dearest", next(iter(parts)))

    def weigh(self, part: Event, adjacency: Adjacency) -> Weights | None:
        return (1.0,) if is_dominated(part, self.dearest) else None

    def price(self, sums: Weights, delta: float, adjacency: Adjacency) -> float:
        count = _whole(sums)
        return _cost_of_copies(self.dearest, count, delta, adjacency) if count else 0.0

    def is_within(self, sums: Weights, epsilon: float, delta: float, adjacency: Adjacency) -> bool:
        count = _whole(sums)
        if is_quickly_within({self.dearest: count}, epsilon, delta, adjacency):
            return True
        return count <= _most_copies(self.dearest, epsilon, delta, adjacency)

    def __str__(self) -> str:
        return f"the exact law of repeated {self.dearest!r}"


@dataclass(frozen=True)
class RenyiRule(Rule):
    """At one of the orders, the summed Rényi curves convert to epsilon at delta / (number of orders).

    Counts whatever has a Rényi curve: Poisson-sampled Gaussians with sigma and q chosen on the way, votes, claims of
    RDP, ... One order, the right one, admits most; several are for plans that are not known in advance.

    Proof for one order alpha: S, the sum of the curves at alpha, is known before each answer, so
    E[e^((alpha - 1)(L - S))] never rises from its start at 1, and ends at most at 1. If S <= B at the end, then
    E[e^((alpha - 1) L)] <= e^((alpha - 1) B): the whole game has a Rényi divergence of at most B.
    For several: at the end S_alpha <= B_alpha for at least one of them, where B_alpha is the budget of
    (epsilon, delta_alpha) at alpha. Stop a copy of the game, for every alpha, before S_alpha exceeds B_alpha; its value
    is at most delta_alpha. Sums never fall, so every run is a complete run of one of the copies, and the value of the
    game is at most the sum of the delta_alpha, which is delta.
    Source: Feldman, Zrnic 2021; Lécuyer 2021 (one order).

    Attributes:
        orders: Rényi orders, > 1, at least one, no two equal; fixed in advance.
    """

    orders: tuple[float, ...]

    def __post_init__(self) -> None:
        orders = tuple(self.orders) if isinstance(self.orders, tuple | list) else (self.orders,)
        for order in orders:
            check.real(order=order, above=1.0)
        if not orders or len(set(orders)) < len(orders):
            raise ValueError(f"orders={orders!r} must be one or several different numbers > 1")
        object.__setattr__(self, "orders", tuple(map(float, orders)))

    @property
    def size(self) -> int:
        return len(self.orders)

    def weigh(self, part: Event, adjacency: Adjacency) -> Weights | None:
        if isinstance(part, ApproxDP):
            return None  # a failure mass has no finite curve
        try:
            return tuple(renyi(part, np.array(self.orders), adjacency=str(adjacency)).tolist())
        except UnsupportedEvent:
            return None

    def price(self, sums: Weights, delta: float, adjacency: Adjacency) -> float:
        return float(epsilon_at_orders(np.array(self.orders), np.array(sums), delta / self.size).min())

    def __str__(self) -> str:
        if len(self.orders) == 1:
            return f"the Rényi curves at order {self.orders[0]:.4g}"
        return f"the Rényi curves at {len(self.orders)} orders, delta / {len(self.orders)} each"


@dataclass(frozen=True)
class ZCDPRule(Rule):
    """The sum of rho_i is at most rho, with rho the largest one that is (epsilon, delta)-DP; everything is then rho-zCDP.

    A Gaussian counts 1 / (2 sigma^2), a pure guarantee epsilon^2 / 2. With a part of delta set aside for failures it is
    the filter for (epsilon_i, delta_i)-claims, and never admits less than the published bound
    sqrt(2 log(1/delta') sum epsilon_i^2) + sum epsilon_i^2 / 2 <= epsilon, which is a looser conversion of the same rho.

    Proof: the sum bounds the Rényi curves at every order alpha by rho alpha; use the proof of the Rényi rule at the order
    that is best for rho.
    Source: Rogers, Roth, Ullman, Vadhan 2016; Whitehouse, Ramdas, Rogers, Wu 2023.
    """

    def weigh(self, part: Event, adjacency: Adjacency) -> Weights | None:
        level = concentrated_level(part)
        return None if level is None else (level,)

    def price(self, sums: Weights, delta: float, adjacency: Adjacency) -> float:
        return _zcdp_epsilon(sums[0], delta)

    def is_within(self, sums: Weights, epsilon: float, delta: float, adjacency: Adjacency) -> bool:
        return sums[0] <= _largest_rho(epsilon, delta)

    def __str__(self) -> str:
        return "the sum of zCDP guarantees"


def _zcdp_epsilon(rho: float, delta: float) -> float:
    if rho == 0.0 or rho == math.inf:
        return rho
    # The Gaussian of this rho has the curve rho alpha; only its Rényi curve may be used.
    return rdp_epsilon({Gaussian(1.0 / (math.sqrt(2.0 * rho) * _UP)): 1}, delta)[0]


@lru_cache(maxsize=256)
def _largest_rho(epsilon: float, delta: float) -> float:
    root = math.sqrt(-math.log(delta))
    inside = (epsilon / (math.sqrt(root * root + epsilon) + root)) ** 2  # rho + 2 sqrt(rho log(1/delta)) = epsilon
    outside = 2.0 * inside + sys.float_info.min
    while _zcdp_epsilon(outside, delta) <= epsilon:
        outside *= 2.0
    if _zcdp_epsilon(inside, delta) > epsilon:
        inside = 0.0
    return last_inside(lambda rho: _zcdp_epsilon(rho, delta) - epsilon, inside, outside, tolerance=1e-12 * outside)


def _whole(sums: Weights) -> int:
    return math.ceil(min(sums[0], 2.0 * MAX_COUNT))


@lru_cache(maxsize=256)
def _most_copies(event: Event, epsilon: float, delta: float, adjacency: Adjacency) -> int:
    def cost(count: int) -> float:
        return _cost_of_copies(event, count, delta, adjacency)

    def fits(count: int) -> bool:
        return is_quickly_within({event: count}, epsilon, delta, adjacency) or cost(count) <= epsilon

    return largest_count(fits, cost, epsilon, MAX_COUNT)


@lru_cache(maxsize=64)
def _cost_of_copies(event: Event, count: int, delta: float, adjacency: Adjacency) -> float:
    return epsilon_of_parts({event: count}, delta, adjacency, needs_lower=False).upper
