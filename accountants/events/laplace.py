"""Laplace noise, continuous and on the integers, as events."""

from accountants.events.event import Event
from accountants.events.fields import integer, real
from accountants.events.registry import event

_MAX_SENSITIVITY = 10**9  # integers below stay exact in every product of two


@event("laplace")
class Laplace(Event):
    """Laplace noise on a query of bounded L1 sensitivity; (1 / scale)-DP.

    Attributes:
        scale: scale of the noise / L1 sensitivity under the ledger's adjacency, > 0.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency.
    Source: Dwork, McSherry, Nissim, Smith 2006.
    """

    scale: float = real(above=0.0)


@event("discrete_laplace")
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

    rate: float = real(above=0.0)
    sensitivity: int = integer(at_least=1, at_most=_MAX_SENSITIVITY, default=1)
