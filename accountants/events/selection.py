"""Private selection, as events: the exponential mechanism and the sparse vector technique."""

from dataclasses import dataclass
from typing import ClassVar

from accountants import check
from accountants.events.event import MAX_COUNT, Event

__all__ = ["Exponential", "SparseVector"]

_KINDS = ("bounded-range", "pure")


@dataclass(frozen=True, slots=True, repr=False)
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

    epsilon: float
    kind: str = "bounded-range"

    type_name: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(epsilon=self.epsilon, at_least=0.0)
        if self.kind not in _KINDS:
            raise ValueError(f"{check.given('kind', self.kind)} is unknown; pass one of {', '.join(map(repr, _KINDS))}")
        object.__setattr__(
            self, "kind", _KINDS[_KINDS.index(self.kind)]
        )  # of a text enum or a numpy string the text itself
        object.__setattr__(self, "epsilon", float(self.epsilon) + 0.0)


@dataclass(frozen=True, slots=True, repr=False)
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

    scale: float
    cutoff: int
    queries: int | None = None

    type_name: ClassVar[str] = "svt_laplace"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(scale=self.scale, above=0.0)
        check.integer(cutoff=self.cutoff, at_least=1, at_most=MAX_COUNT)
        object.__setattr__(self, "scale", float(self.scale))
        object.__setattr__(self, "cutoff", int(self.cutoff))
        if self.queries is not None:
            check.integer(queries=self.queries, at_least=1, at_most=MAX_COUNT)
            object.__setattr__(self, "queries", int(self.queries))
