"""Randomized response, as events."""

from dataclasses import dataclass
from typing import ClassVar

from accountants import check
from accountants.adjacency import Adjacency
from accountants.events.event import Event

__all__ = ["PriorResponse", "RandomizedResponse", "SubsetResponse"]


@dataclass(frozen=True, slots=True, repr=False)
class RandomizedResponse(Event):
    """k-ary randomized response: keep the symbol with odds e^eps0 : 1 against each other symbol.

    Attributes:
        k: alphabet size, >= 2.
        eps0: log-odds of keeping, >= 0, natural log. Pure-DP level of ONE release.

    Adjacency: the answer of one record changes (replace-one).
    Source: Warner 1965; k-ary form Kairouz, Oh, Viswanath 2016.
    """

    k: int
    eps0: float

    type_name: ClassVar[str] = "krr"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.integer(k=self.k, at_least=2, at_most=10**15)
        check.real(eps0=self.eps0, at_least=0.0)
        object.__setattr__(self, "k", int(self.k))
        object.__setattr__(self, "eps0", float(self.eps0) + 0.0)

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """replace-one."""
        return frozenset({Adjacency.REPLACE_ONE})


@dataclass(frozen=True, slots=True, repr=False)
class PriorResponse(Event):
    """Randomized response inside a candidate set that does not depend on the private answer.

    A symbol outside the set is answered uniformly. The worst pair of symbols lies inside the set, so the cost
    is that of k-ary randomized response with the size of the set; a set of one symbol reveals nothing.

    Attributes:
        k: size of the candidate set, >= 1. If the size depends on earlier noisy answers, charge k = 2.
        eps0: log-odds of keeping, >= 0, natural log. Pure-DP level of ONE release.

    Adjacency: the answer of one record changes (replace-one).
    Source: RRTop-k of Ghazi et al. 2021; domination by joint convexity of the hockey-stick divergence.
    """

    k: int
    eps0: float

    type_name: ClassVar[str] = "rr_topk"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.integer(k=self.k, at_least=1, at_most=10**15)
        check.real(eps0=self.eps0, at_least=0.0)
        object.__setattr__(self, "k", int(self.k))
        object.__setattr__(self, "eps0", float(self.eps0) + 0.0)

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """replace-one."""
        return frozenset({Adjacency.REPLACE_ONE})


@dataclass(frozen=True, slots=True, repr=False)
class SubsetResponse(Event):
    """Subset selection: a set of `d` of the `k` symbols, each set holding the true symbol with odds e^eps0 : 1.

    Attributes:
        k: alphabet size, >= 2.
        d: size of the answered set, 1 to k; d = 1 is randomized response, d = k reveals nothing.
        eps0: log-odds of a set that holds the true symbol against one that does not, >= 0, natural log. Pure-DP level
            of ONE release.

    Adjacency: the answer of one record changes (replace-one).
    Source: Ye and Barg 2018; Wang et al. 2016.
    """

    k: int
    d: int
    eps0: float

    type_name: ClassVar[str] = "subset_selection"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.integer(k=self.k, at_least=2, at_most=10**15)
        check.integer(d=self.d, at_least=1, at_most=int(self.k))
        check.real(eps0=self.eps0, at_least=0.0)
        object.__setattr__(self, "k", int(self.k))
        object.__setattr__(self, "d", int(self.d))
        object.__setattr__(self, "eps0", float(self.eps0) + 0.0)

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """replace-one."""
        return frozenset({Adjacency.REPLACE_ONE})
