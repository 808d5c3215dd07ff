"""Gaussian noise, continuous and on the integers, as events."""

from accountants.events.event import Event, Parts
from accountants.events.fields import integer, real
from accountants.events.registry import event

_MAX_SENSITIVITY = 10**9  # integers below stay exact in every product of two


@event("gaussian")
class Gaussian(Event):
    """Gaussian noise on a query of bounded L2 sensitivity.

    Attributes:
        sigma: noise standard deviation / L2 sensitivity under the ledger's adjacency, >= 0; 0 means no privacy.
            Inside `.poisson(q)` and `.random_allocation(...)` the sensitivity is always that of adding or removing
            one record, i.e. the clipping norm per example, also in a ledger for replace-one.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency.
    Source: Balle and Wang 2018; Gaussian differential privacy: Dong, Roth, Su 2019.
    """

    sigma: float = real(at_least=0.0)


@event("discrete_gaussian")
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

    sigma: float = real(at_least=0.0)
    sensitivity: int = integer(at_least=1, at_most=_MAX_SENSITIVITY, default=1)

    def simplify(self, count: int, parts: Parts) -> None:
        parts.add(self if self.sigma > 0.0 else Gaussian(0.0), count)
