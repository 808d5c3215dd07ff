"""Running sums under correlated noise, as events."""

from fractions import Fraction

from accountants.events.event import Event, Parts
from accountants.events.fields import integer, real
from accountants.events.gaussian import Gaussian
from accountants.events.registry import event
from accountants.numerics.rounding import fraction_down


@event("tree_aggregation")
class TreeAggregation(Event):
    """All prefix sums of a stream by a binary tree of noisy sums (also the gradients of DP-FTRL).

    A leaf is part of at most floor(log2(steps)) + 1 nodes, so a tree in which a record enters one step costs that many
    releases of Gaussian(sigma).

    Attributes:
        sigma: standard deviation of the noise of a node / L2 sensitivity of one step, >= 0; 0 means no privacy.
        steps: leaves of each tree, >= 1.
        restarts: number of trees, >= 0. A record enters at most ONE step of each tree: restart at least once per epoch.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency.
    Source: Dwork, Naor, Pitassi, Rothblum 2010; Chan, Shi, Song 2011; DP-FTRL: Kairouz et al. 2021.
    """

    sigma: float = real(at_least=0.0)
    steps: int = integer(at_least=1)
    restarts: int = integer(at_least=0, default=1)

    @property
    def nodes_per_leaf(self) -> int:
        """The most nodes of one tree that a leaf is part of.

        Example:
            >>> [TreeAggregation(1.0, steps).nodes_per_leaf for steps in (1, 2, 3, 4, 1000, 1024)]
            [1, 2, 2, 3, 10, 11]
        """
        return self.steps.bit_length()

    def simplify(self, count: int, parts: Parts) -> None:
        # All nodes above a leaf, exactly: no rounding of a square root.
        parts.collect(Gaussian(self.sigma), count * self.restarts * self.nodes_per_leaf)


@event("matrix_factorization")
class MatrixFactorization(Event):
    """A linear workload A = B C released as B (C x + noise): one Gaussian release of C x, however many rows.

    Attributes:
        sigma: standard deviation of the noise / L2 sensitivity of one entry of the stream, >= 0; 0 means no privacy.
        sensitivity: largest L2 norm of the change of C x that one record can cause with all its participations, in
            units of that entry's sensitivity, > 0; for one participation the largest column norm of C.

    Adjacency: any; the sensitivity must be the one under the ledger's adjacency.
    Source: Denisov et al. 2022; several participations: Choquette-Choo et al. 2023.
    """

    sigma: float = real(at_least=0.0)
    sensitivity: float = real(above=0.0)

    def simplify(self, count: int, parts: Parts) -> None:
        parts.add(Gaussian(fraction_down(Fraction(self.sigma) / Fraction(self.sensitivity))), count)
