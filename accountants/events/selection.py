"""Private selection, as events: the exponential mechanism and the sparse vector technique."""

import math
from fractions import Fraction

from accountants.events.claims import PureDP
from accountants.events.event import Event, Parts
from accountants.events.fields import choice, integer, real
from accountants.events.gaussian import Gaussian
from accountants.events.registry import event
from accountants.numerics.rounding import fraction_up


@event("exponential")
class Exponential(Event):
    """Exponential mechanism: an answer drawn with probability proportional to exp(utility / temperature).

    Attributes:
        epsilon: nats, >= 0. For kind "bounded-range" the largest spread of the privacy loss over all answers, which
            for utilities of sensitivity D is 2 D / temperature (D / temperature if the utility of all answers can
            only move the same way). For kind "pure" the pure guarantee, and nothing else is used.
        kind: "bounded-range" (the exponential mechanism, report-noisy-max with Gumbel noise) or "pure" (any other
            epsilon-DP selection, such as report-noisy-max with Laplace noise).

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency.
    Source: McSherry and Talwar 2007; bounded range: Durfee and Rogers 2019, Dong, Durfee, Rogers 2020.
    """

    epsilon: float = real(at_least=0.0)
    kind: str = choice("bounded-range", "pure", default="bounded-range")

    def simplify(self, count: int, parts: Parts) -> None:
        if self.epsilon > 0.0:
            parts.add(PureDP(self.epsilon) if self.kind == "pure" else self, count)


@event("svt_laplace", alias="sparse_vector")
class SparseVector(Event):
    """Sparse vector technique: says of each query whether it exceeds a threshold, until `cutoff` of them did.

    ONE Laplace draw is added to the threshold and kept for the whole run, a fresh one of the same scale to every query.
    The queries may be of any sign of change (not only monotone), so the run is (1 + 2 cutoff) / scale-DP.

    Attributes:
        scale: scale of both noises / sensitivity of a query, > 0.
        cutoff: the run stops after this many queries above the threshold, >= 1.
        queries: most queries that may be asked; None for any number. The cost does not depend on it.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency.
    Source: Lyu, Su, Li 2017, algorithm 1 with threshold noise Lap(1 / e1) and query noise Lap(2 cutoff / e2).
    """

    scale: float = real(above=0.0)
    cutoff: int = integer(at_least=1)
    queries: int | None = integer(at_least=1, default=None)

    def simplify(self, count: int, parts: Parts) -> None:
        epsilon = fraction_up(Fraction(1 + 2 * self.cutoff) / Fraction(self.scale))
        parts.add(PureDP(epsilon) if epsilon < math.inf else Gaussian(0.0), count)

    def certain_part(self) -> Event:
        return PureDP(0.0)  # nothing: the pure level need not be reached
