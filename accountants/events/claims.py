"""Guarantees proven elsewhere and taken at their word, as events."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from accountants import check
from accountants.events.event import Event

__all__ = ["GDP", "RDP", "ZCDP", "ApproxDP", "PureDP"]


@dataclass(frozen=True, slots=True, repr=False)
class PureDP(Event):
    """A release known to be epsilon-DP and nothing else; the worst such mechanism is assumed.

    Attributes:
        epsilon: pure guarantee in nats, >= 0.

    Adjacency: any; the claim must be proven for the ledger's adjacency.
    """

    epsilon: float

    type_name: ClassVar[str] = "pure_dp"

    def __post_init__(self) -> None:
        """Check the field."""
        check.real(epsilon=self.epsilon, at_least=0.0)
        object.__setattr__(self, "epsilon", float(self.epsilon) + 0.0)


@dataclass(frozen=True, slots=True, repr=False)
class ApproxDP(Event):
    """A release known to be (epsilon, delta)-DP and nothing else; the worst such mechanism is assumed.

    Attributes:
        epsilon: guarantee in nats, >= 0.
        delta: failure mass, in [0, 1).

    Adjacency: any; the claim must be proven for the ledger's adjacency.
    Source: worst mechanism: Kairouz, Oh, Viswanath 2015.
    """

    epsilon: float
    delta: float

    type_name: ClassVar[str] = "approx_dp"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(epsilon=self.epsilon, at_least=0.0)
        check.probability_mass(delta=self.delta)
        object.__setattr__(self, "epsilon", float(self.epsilon) + 0.0)
        object.__setattr__(self, "delta", float(self.delta) + 0.0)


@dataclass(frozen=True, slots=True, repr=False)
class ZCDP(Event):
    """A release known to be (xi, rho)-zCDP and nothing else: Rényi divergence <= xi + rho alpha at every order.

    Attributes:
        rho: slope per order, nats, >= 0.
        xi: offset, nats, >= 0.

    Adjacency: any; the claim must be proven for the ledger's adjacency.
    Source: Bun and Steinke 2016.
    """

    rho: float
    xi: float = 0.0

    type_name: ClassVar[str] = "zcdp"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(rho=self.rho, xi=self.xi, at_least=0.0)
        object.__setattr__(self, "rho", float(self.rho) + 0.0)
        object.__setattr__(self, "xi", float(self.xi) + 0.0)


@dataclass(frozen=True, slots=True, repr=False)
class GDP(Event):
    """A release known to be mu-GDP: at least as hard to test as N(0, 1) against N(mu, 1); that Gaussian is assumed.

    Attributes:
        mu: >= 0. An estimate by a central limit theorem is no such claim.

    Adjacency: any; the claim must be proven for the ledger's adjacency.
    Source: Dong, Roth, Su 2019.
    """

    mu: float

    type_name: ClassVar[str] = "gdp"

    def __post_init__(self) -> None:
        """Check the field."""
        check.real(mu=self.mu, at_least=0.0)
        object.__setattr__(self, "mu", float(self.mu) + 0.0)


@dataclass(frozen=True, slots=True, repr=False)
class RDP(Event):
    """A release known by upper bounds on its Rényi divergence at some orders, and nothing else.

    Attributes:
        orders: strictly increasing, each > 1, at least one.
        values: nats, one per order, each >= 0.

    Adjacency: any; the claim must be proven for the ledger's adjacency, in both directions.
    Source: Mironov 2017.
    """

    orders: tuple[float, ...]
    values: tuple[float, ...]

    type_name: ClassVar[str] = "rdp"

    def __post_init__(self) -> None:
        """Check the fields."""
        orders, values = _reals(orders=self.orders, above=1.0), _reals(values=self.values, at_least=0.0)
        if not orders or len(orders) != len(values):
            raise ValueError(f"orders and values must be as long as each other, got {len(orders)} and {len(values)}")
        if any(later <= earlier for earlier, later in pairwise(orders)):
            raise ValueError(f"orders={orders!r} must be strictly increasing"[:200])
        object.__setattr__(self, "orders", orders)
        object.__setattr__(self, "values", values)


def _reals(*, above: float | None = None, at_least: float | None = None, **named: object) -> tuple[float, ...]:
    """The one named sequence as floats."""
    ((name, sequence),) = named.items()
    if isinstance(sequence, str) or not isinstance(sequence, Iterable):
        raise TypeError(f"{check.given(name, sequence)} must be a sequence of numbers")
    numbers = tuple(sequence)
    for number in numbers:
        check.real(above=above, at_least=at_least, **{name: number})
    return tuple(float(number) + 0.0 for number in numbers)
