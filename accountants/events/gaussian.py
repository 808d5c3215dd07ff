"""Gaussian noise, as events."""

from dataclasses import dataclass
from typing import ClassVar

from accountants import check
from accountants.adjacency import Adjacency
from accountants.events.algebra import Event

__all__ = ["GNMax", "Gaussian"]


@dataclass(frozen=True, slots=True, repr=False)
class Gaussian(Event):
    """Gaussian noise on a query of bounded L2 sensitivity.

    Attributes:
        sigma: noise standard deviation / L2 sensitivity under the ledger's adjacency, >= 0; 0 means no privacy.

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
class GNMax(Event):
    """Noisy vote histogram of teachers on disjoint shards, or its argmax: one query.

    One changed record moves one vote, so the L2 sensitivity is sqrt(2) and the cost that of Gaussian(sigma /
    sqrt(2)).

    Attributes:
        sigma: standard deviation of the noise on every vote count, in votes, >= 0; 0 means no privacy.

    Adjacency: one record added, removed or replaced, with a shard assignment that no other record can move.
    Source: Papernot et al. 2018 (data-independent cost).
    """

    sigma: float

    type_name: ClassVar[str] = "gnmax"

    def __post_init__(self) -> None:
        """Check the field."""
        check.real(sigma=self.sigma, at_least=0.0)
        object.__setattr__(self, "sigma", float(self.sigma) + 0.0)

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """add-remove and replace-one."""
        return frozenset({Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE})
