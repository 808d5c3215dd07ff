"""Smooth sensitivity of data-dependent PATE costs: how much noise hides them.

A cost rho is a function of the vote tables of all queries. S is a beta-smooth bound on its local sensitivity if
S(D) >= |rho(D) - rho(D')| and S(D) <= e^beta S(D') for all neighbours. Such a bound is the largest e^(-beta d) A_d(D) over
distances d, for any A_d with A_0 above the local sensitivity and A_d(D) <= A_(d+1)(D'). Here A_d is the sum over queries
of the largest local sensitivity within distance d, on the public staircase of each cost (see `staircase`).

One record changes the vote of one teacher, so each query's table moves by at most one vote at a time, in all queries at
once: the sum over queries is taken before the maximum over d.

Sources: Nissim, Raskhodnikova, Smith 2007; Papernot et al. 2018, Appendix B. The staircase is ours.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from accountants.numerics.array_kinds import FloatArray
from accountants.pate.gnmax import gaps_log_q, gnmax_log_q
from accountants.pate.staircase import Staircase, quantile, staircase

_DISCOUNT = 16.0  # distances are looked at until e^(-beta d) falls to e^-16; beyond, the steepest step is assumed
_MOST_DISTANCES = 4096
_FLOOR = 2.0**-45  # of the public ceiling; covers the rounding of the sums of costs and sensitivities


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SmoothCosts:
    """The costs of several queries at one order, rounded up to a public staircase.

    Attributes:
        stairs: of these costs.
        agreement: PRIVATE z of every query, shape (queries,).
        reach: gives, for distance 0, 1, 2, ..., the smallest and largest z of any table within that distance.
    """

    stairs: Staircase
    agreement: FloatArray
    reach: Callable[[], Iterator[tuple[FloatArray, FloatArray]]]

    def total(self) -> float:
        """Sum of the costs, nats, PRIVATE."""
        return math.fsum(self.stairs.costs[self.stairs.step_of(self.agreement)])

    @property
    def ceiling(self) -> float:
        """Sum of the data-independent costs, nats; public."""
        return len(self.agreement) * float(self.stairs.costs[0])

    @property
    def steepest(self) -> float:
        """No vote tables of as many queries have a larger local sensitivity than this, nats; public."""
        return len(self.agreement) * self.stairs.steepest

    def sensitivities(self) -> Iterator[float]:
        """A_0, A_1, A_2, ...: bounds on the local sensitivity within each distance, nats, PRIVATE."""
        for distance, (lowest, highest) in enumerate(self.reach()):
            yield math.fsum(self.stairs.sensitivity(lowest, highest, distance))


def smooth_sensitivity(parts: list[SmoothCosts], *, beta: float) -> float:
    """A beta-smooth bound on the local sensitivity of the sum of all totals; PRIVATE, > 0 unless nothing was asked.

    Args:
        parts: costs of queries that were all answered from the same votes.
        beta: > 0.

    Returns:
        Nats.
    """
    distances = min(math.ceil(_DISCOUNT / beta), _MOST_DISTANCES)
    steepest = sum(part.steepest for part in parts)
    largest = math.exp(-beta * distances) * steepest
    sums = zip(*(part.sensitivities() for part in parts), strict=False)
    for distance, together in enumerate(itertools.islice(sums, distances)):
        discount = math.exp(-beta * distance)
        if discount * steepest <= largest:  # neither this distance nor a larger one can matter
            break
        largest = max(largest, discount * math.fsum(together))
    return largest * (1.0 + _FLOOR) + _FLOOR * sum(part.ceiling for part in parts)


def gnmax_smooth_costs(counts: FloatArray, *, sigma: float, order: float, teachers: int) -> SmoothCosts:
    """Costs of GNMax answers.

    Args:
        counts: PRIVATE votes, shape (queries, classes).
        sigma: standard deviation of the noise on every count, in votes, > 0.
        order: Rényi order, > 1.
        teachers: number of teachers, the sum of every row.
    """
    classes = counts.shape[1]
    # With all votes on one class q = (classes - 1) P[N(0, 1) > teachers / (sqrt(2) sigma)].
    stairs = staircase(sigma, classes=classes, order=order, furthest=teachers / (math.sqrt(2.0) * sigma))
    agreement = quantile(gnmax_log_q(counts, sigma), classes)
    return SmoothCosts(stairs, agreement, lambda: _votes_within(counts, sigma))


def check_smooth_costs(
    reached: FloatArray, *, threshold: float, sigma1: float, order: float, teachers: int
) -> SmoothCosts:
    """Costs of the tests of Confident-GNMax, which are those of GNMax with two classes and sigma = sqrt(2) sigma1.

    Args:
        reached: PRIVATE result of `confidence`, shape (queries,).
        threshold: of the test, in votes.
        sigma1: standard deviation of the noise of the test, in votes, > 0.
        order: Rényi order, > 1.
        teachers: number of teachers.
    """
    furthest = max(abs(threshold), abs(teachers - threshold)) / sigma1
    stairs = staircase(math.sqrt(2.0) * sigma1, classes=2, order=order, furthest=furthest)
    agreement = np.abs(reached - threshold) / sigma1

    def within() -> Iterator[tuple[FloatArray, FloatArray]]:
        for distance in itertools.count():
            move = distance / sigma1
            yield np.maximum(agreement - move, 0.0), agreement + move

    return SmoothCosts(stairs, agreement, within)


def _votes_within(counts: FloatArray, sigma: float) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Smallest and largest z of any vote table within 0, 1, 2, ... moved votes.

    Smallest: all votes go from the first class to the second, since each term of q is convex in its lead while leads
    are positive; once the second could overtake, the least agreement of all is taken. Largest: each vote goes to the
    first class from the one then second, by the same convexity.
    """
    classes = counts.shape[1]
    ordered = np.sort(counts, axis=1)
    leads = ordered[:, -1:] - ordered[:, :-1]
    rows = np.arange(len(counts))
    least_agreement = math.log1p(-1.0 / classes)
    for distance in itertools.count():
        fewer = leads - distance
        fewer[:, -1] -= distance
        low = np.where(fewer[:, -1] < 0.0, least_agreement, gaps_log_q(fewer, sigma))
        high = gaps_log_q(ordered[:, -1:] - ordered[:, :-1], sigma)
        yield quantile(low, classes), quantile(high, classes)
        second = ordered[:, :-1].argmax(axis=1)
        taken = np.minimum(ordered[rows, second], 1.0)
        ordered[rows, second] -= taken
        ordered[:, -1] += taken
