"""Laplace noise, continuous and on the integers, as events."""

from dataclasses import dataclass
from typing import ClassVar

from accountants import check
from accountants.events.event import Event

__all__ = ["DiscreteLaplace", "Laplace"]

_MAX_SENSITIVITY = 10**9  # integers below stay exact in every product of two


@dataclass(frozen=True, slots=True, repr=False)
class Laplace(Event):
    """Laplace noise on a query of bounded L1 sensitivity; (1 / scale)-DP.

    Attributes:
        scale: scale of the noise / L1 sensitivity under the ledger's adjacency, > 0.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency.
    Source: Dwork, McSherry, Nissim, Smith 2006.
    """

    scale: float

    type_name: ClassVar[str] = "laplace"

    def __post_init__(self) -> None:
        """Check the field."""
        check.real(scale=self.scale, above=0.0)
        object.__setattr__(self, "scale", float(self.scale))


@dataclass(frozen=True, slots=True, repr=False)
class DiscreteLaplace(Event):
    """Integer noise with P(x) proportional to exp(-rate |x|), on one integer; also called geometric noise.

    Attributes:
        rate: decay per unit, in nats, > 0.
        sensitivity: largest change of the integer under the ledger's adjacency, >= 1; the release is
            (rate * sensitivity)-DP.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency. For a vector of integers charge one
    event per coordinate that can change.
    Source: Ghosh, Roughgarden, Sundararajan 2009.
    """

    rate: float
    sensitivity: int = 1

    type_name: ClassVar[str] = "discrete_laplace"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(rate=self.rate, above=0.0)
        check.integer(sensitivity=self.sensitivity, at_least=1, at_most=_MAX_SENSITIVITY)
        object.__setattr__(self, "rate", float(self.rate))
        object.__setattr__(self, "sensitivity", int(self.sensitivity))
