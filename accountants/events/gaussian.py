"""Gaussian noise, continuous and on the integers, as events."""

from dataclasses import dataclass
from typing import ClassVar

from accountants import check
from accountants.events.event import Event

__all__ = ["DiscreteGaussian", "Gaussian"]

_MAX_SENSITIVITY = 10**9  # integers below stay exact in every product of two


@dataclass(frozen=True, slots=True, repr=False)
class Gaussian(Event):
    """Gaussian noise on a query of bounded L2 sensitivity.

    Attributes:
        sigma: noise standard deviation / L2 sensitivity under the ledger's adjacency, >= 0; 0 means no privacy.
            Inside `.poisson(q)` and `.random_allocation(...)` the sensitivity is always that of adding or removing
            one record, i.e. the clipping norm per example, also in a ledger for replace-one.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency.
    Source: Balle and Wang 2018; Gaussian differential privacy: Dong, Roth, Su 2019.
    """

    sigma: float

    type_name: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        """Check the field."""
        check.real(sigma=self.sigma, at_least=0.0)
        object.__setattr__(self, "sigma", float(self.sigma) + 0.0)  # + 0.0 turns -0.0 into 0.0


@dataclass(frozen=True, slots=True, repr=False)
class DiscreteGaussian(Event):
    """Integer noise with P(x) proportional to exp(-x^2 / (2 sigma^2)), on one integer.

    Attributes:
        sigma: parameter of the law, in units of the integer (close to its standard deviation), >= 0; 0 means no
            privacy.
        sensitivity: largest change of the integer under the ledger's adjacency, >= 1.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency. For a vector of integers charge one
    event per coordinate that can change.
    Source: Canonne, Kamath, Steinke 2020.
    """

    sigma: float
    sensitivity: int = 1

    type_name: ClassVar[str] = "discrete_gaussian"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(sigma=self.sigma, at_least=0.0)
        check.integer(sensitivity=self.sensitivity, at_least=1, at_most=_MAX_SENSITIVITY)
        object.__setattr__(self, "sigma", float(self.sigma) + 0.0)
        object.__setattr__(self, "sensitivity", int(self.sensitivity))
