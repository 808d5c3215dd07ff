"""Guarantees proven elsewhere and taken at their word, as events."""

from dataclasses import dataclass
from typing import ClassVar

from accountants import check
from accountants.events.algebra import Event

__all__ = ["ApproxDP", "PureDP"]


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
