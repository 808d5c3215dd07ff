"""Guarantees proven elsewhere and taken at their word, as events."""

from fractions import Fraction
from itertools import pairwise

from accountants.events.event import Event, Parts
from accountants.events.fields import real, reals
from accountants.events.gaussian import Gaussian
from accountants.events.registry import event
from accountants.numerics.rounding import fraction_down


@event("pure_dp")
class PureDP(Event):
    """A release known to be epsilon-DP and nothing else; the worst such mechanism is assumed.

    Attributes:
        epsilon: pure guarantee in nats, >= 0.

    Adjacency: any; the claim must be proven for the ledger's adjacency.
    """

    epsilon: float = real(at_least=0.0)

    def simplify(self, count: int, parts: Parts) -> None:
        if self.epsilon > 0.0:
            parts.add(self, count)


@event("approx_dp")
class ApproxDP(Event):
    """A release known to be (epsilon, delta)-DP and nothing else; the worst such mechanism is assumed.

    Attributes:
        epsilon: guarantee in nats, >= 0.
        delta: failure mass, in [0, 1).

    Adjacency: any; the claim must be proven for the ledger's adjacency.
    Source: worst mechanism: Kairouz, Oh, Viswanath 2015.
    """

    epsilon: float = real(at_least=0.0)
    delta: float = real(at_least=0.0, below=1.0)

    def simplify(self, count: int, parts: Parts) -> None:
        if self.delta > 0.0:
            parts.add(self, count)
        else:
            parts.collect(PureDP(self.epsilon), count)


@event("zcdp")
class ZCDP(Event):
    """A release known to be (xi, rho)-zCDP and nothing else: Rényi divergence <= xi + rho alpha at every order.

    Attributes:
        rho: slope per order, nats, >= 0.
        xi: offset, nats, >= 0.

    Adjacency: any; the claim must be proven for the ledger's adjacency.
    Source: Bun and Steinke 2016.
    """

    rho: float = real(at_least=0.0)
    xi: float = real(at_least=0.0, default=0.0)

    def simplify(self, count: int, parts: Parts) -> None:
        if self.rho > 0.0 or self.xi > 0.0:
            parts.add(self, count)


@event("gdp")
class GDP(Event):
    """A release known to be mu-GDP: at least as hard to test as N(0, 1) against N(mu, 1); that Gaussian is assumed.

    Attributes:
        mu: >= 0. An estimate by a central limit theorem is no such claim.

    Adjacency: any; the claim must be proven for the ledger's adjacency.
    Source: Dong, Roth, Su 2019.
    """

    mu: float = real(at_least=0.0)

    def simplify(self, count: int, parts: Parts) -> None:
        if self.mu > 0.0:
            parts.add(Gaussian(fraction_down(1 / Fraction(self.mu))), count)


@event("rdp")
class RDP(Event):
    """A release known by upper bounds on its Rényi divergence at some orders, and nothing else.

    Attributes:
        orders: strictly increasing, each > 1, at least one.
        values: nats, one per order, each >= 0.

    Adjacency: any; the claim must be proven for the ledger's adjacency, in both directions.
    Source: Mironov 2017.
    """

    orders: tuple[float, ...] = reals(above=1.0)
    values: tuple[float, ...] = reals(at_least=0.0)

    def __post_init__(self) -> None:
        if not self.orders or len(self.orders) != len(self.values):
            lengths = f"{len(self.orders)} and {len(self.values)}"
            raise ValueError(f"orders and values must be as long as each other, got {lengths}")
        if any(later <= earlier for earlier, later in pairwise(self.orders)):
            raise ValueError(f"orders={self.orders!r} must be strictly increasing"[:200])
