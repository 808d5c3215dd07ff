"""Randomized response, as events."""

from accountants.adjacency import Adjacency
from accountants.events.event import Event, Parts
from accountants.events.fields import integer, real
from accountants.events.registry import event

_STATED_FOR = (Adjacency.REPLACE_ONE,)


@event("krr", alias="randomized_response", adjacencies=_STATED_FOR)
class RandomizedResponse(Event):
    """k-ary randomized response: keep the symbol with odds e^eps0 : 1 against each other symbol.

    Attributes:
        k: alphabet size, >= 2.
        eps0: log-odds of keeping, >= 0, natural log. Pure-DP level of ONE release.

    Adjacency: the answer of one record changes (replace-one).
    Source: Warner 1965; k-ary form Kairouz, Oh, Viswanath 2016.
    """

    k: int = integer(at_least=2)
    eps0: float = real(at_least=0.0)

    def simplify(self, count: int, parts: Parts) -> None:
        if self.eps0 > 0.0:
            parts.add(self, count)


@event("rr_topk", alias="prior_response", adjacencies=_STATED_FOR)
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

    k: int = integer(at_least=1)
    eps0: float = real(at_least=0.0)

    def simplify(self, count: int, parts: Parts) -> None:
        if self.k > 1:
            parts.collect(RandomizedResponse(self.k, self.eps0), count)


@event("subset_selection", alias="subset_response", adjacencies=_STATED_FOR)
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

    k: int = integer(at_least=2)
    d: int = integer(at_least=1, at_most="k")
    eps0: float = real(at_least=0.0)

    def simplify(self, count: int, parts: Parts) -> None:
        if self.d == 1:
            parts.collect(RandomizedResponse(self.k, self.eps0), count)
        elif self.d < self.k and self.eps0 > 0.0:
            parts.add(self, count)
