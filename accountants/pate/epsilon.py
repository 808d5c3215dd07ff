"""Epsilon of PATE answers, with a choice of what may be known about it.

- "data-independent": the epsilon of the events, whatever the votes; may be published. The default.
- "private-only": the epsilon at the votes at hand, hidden; it may steer a decision of somebody who may see the votes.
- "smooth-sensitivity": a plan of a noisy release of the cost at the votes at hand, to be carried out by
  `privkd.mechanisms.CostRelease`, which charges for it.

The last two are about outputs drawn from the data set at hand (see `PublishedEpsilon`), which is less than differential
privacy, and hold only where nothing but the noisy argmax of each vote table was released, never a noisy histogram.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accountants import check
from accountants.bound import Bound
from accountants.composition.epsilon import epsilon
from accountants.composition.requirements import require_adjacency
from accountants.events import ConfidentGNMax, Event, GNMax, LNMax
from accountants.numerics.array_kinds import FloatArray
from accountants.pate.confident import confidence, realised_costs
from accountants.pate.gnmax import gnmax_log_q, gnmax_renyi, total_over_rows
from accountants.pate.hidden_cost import PrivateCost
from accountants.pate.lnmax import lnmax_log_q, lnmax_renyi
from accountants.pate.release import CostPlan, Smoothing, renyi_epsilon
from accountants.pate.sensitivity import SmoothCosts, check_smooth_costs, gnmax_smooth_costs, smooth_sensitivity
from accountants.pate.votes import vote_table

Disclosure = Literal["data-independent", "smooth-sensitivity", "private-only"]

_ORDERS = 1.0 + np.geomspace(1e-2, 1e5, 351)  # twenty to a decade and refined once; each gives a valid epsilon
_FINER = 41
_BLOCK = 2048  # queries at a time


def pate_epsilon(
    votes: ArrayLike,
    sigma: float,
    delta: float,
    *,
    teachers: int,
    disclose: Disclosure = "data-independent",
    smoothing: Smoothing | None = None,
    adjacency: str = "replace-one",
) -> Bound | PrivateCost | CostPlan:
    """Epsilon of GNMax answers to a list of queries that was fixed before the first answer.

    Args:
        votes: PRIVATE counts, one row per answered query, shape (queries, classes); every row sums to `teachers`.
        sigma: standard deviation of the noise on every count, in votes; > 0 unless data-independent.
        delta: failure mass, in [0, 1); > 0 unless data-independent.
        teachers: number of teachers, trained on disjoint shards.
        disclose: what may be known (see the module).
        smoothing: how to release, for "smooth-sensitivity" only.
        adjacency: "replace-one" or "add-remove".

    Returns:
        A `Bound`, a `PrivateCost` that hides the epsilon, or a `CostPlan` to be carried out by a mechanism.

    Raises:
        AdjacencyError: PATE is not stated for this adjacency.
        ValueError: an argument is out of range, or the votes are no such table; no count is ever shown.

    Source: Papernot et al. 2018.

    Example:
        >>> votes = [[240, 5, 5], [236, 8, 6]] * 50
        >>> print(pate_epsilon(votes, 40.0, 1e-5, teachers=250))
        [1.3564, 1.3565] (gaussian)
        >>> pate_epsilon(votes, 40.0, 1e-5, teachers=250, disclose="private-only")
        <PrivateCost: epsilon of 100 GNMax answers, value hidden>
    """
    counts = vote_table(votes, teachers=teachers)
    event = GNMax(sigma) * len(counts)
    _require_known(disclose, smoothing, event, adjacency, delta, sigma=sigma)
    if disclose == "data-independent":
        return epsilon(event, delta, adjacency=adjacency)
    what = f"{len(counts)} GNMax answers"
    if smoothing is not None:
        parts = [gnmax_smooth_costs(counts, sigma=sigma, order=smoothing.order, teachers=teachers)]
        return _planned(parts, smoothing, delta, what)
    return _hidden(gnmax_renyi, gnmax_log_q(counts, sigma), sigma, delta, what)


def confident_pate_epsilon(
    votes: ArrayLike,
    answered: ArrayLike,
    delta: float,
    *,
    teachers: int,
    threshold: float,
    sigma1: float,
    sigma2: float,
    predictions: ArrayLike | None = None,
    disclose: Disclosure = "data-independent",
    order: float | None = None,
    smoothing: Smoothing | None = None,
    adjacency: str = "replace-one",
) -> Bound | PrivateCost | CostPlan:
    """Epsilon of Confident-GNMax: every test and every answer given is paid, as realised.

    The data-independent epsilon is one of differential privacy if the numbers of tests and of answers are limits set in
    advance, or kept within a budget while answering (`Ledger`). The two others are a guarantee at one Rényi order, fixed
    before the first answer.

    Args:
        votes: PRIVATE counts, one row per TESTED query, shape (queries, classes); every row sums to `teachers`.
        answered: PUBLIC outcome of every test, booleans of shape (queries,).
        delta: failure mass, in [0, 1); > 0 unless data-independent.
        teachers: number of teachers, trained on disjoint shards.
        threshold: of the test, in votes.
        sigma1: standard deviation of the noise of the test, in votes; > 0 unless data-independent.
        sigma2: standard deviation of the noise on every count of an answer, in votes; > 0 unless data-independent.
        predictions: for the interactive variant, the student's probabilities that were subtracted before the test, shape
            of the votes; public or released before.
        disclose: what may be known (see the module).
        order: Rényi order, > 1, for "private-only" only.
        smoothing: how to release, for "smooth-sensitivity" only; holds the order.
        adjacency: "replace-one" or "add-remove".

    Returns:
        A `Bound`, a `PrivateCost` that hides the epsilon, or a `CostPlan` to be carried out by a mechanism.

    Raises:
        AdjacencyError: PATE is not stated for this adjacency.
        ValueError: an argument is out of range, or the votes are no such table; no count is ever shown.

    Source: Papernot et al. 2018, Confident-GNMax and Interactive-GNMax.

    Example:
        >>> votes, answered = [[240, 5, 5], [90, 80, 80]] * 50, [True, False] * 50
        >>> noise = {"threshold": 200.0, "sigma1": 150.0, "sigma2": 40.0}
        >>> print(confident_pate_epsilon(votes, answered, 1e-5, teachers=250, **noise))
        [0.92634, 0.96192] (gaussian)
    """
    counts = vote_table(votes, teachers=teachers)
    given = _outcomes(answered, len(counts))
    event = ConfidentGNMax(threshold, sigma1, sigma2, checked=len(counts), answered=int(given.sum()))
    _require_known(disclose, smoothing, event, adjacency, delta, sigma1=sigma1, sigma2=sigma2)
    if order is not None and disclose != "private-only":
        raise ValueError(
            f"order={order!r} with disclose={disclose!r}: pass it with 'private-only' only; 'smooth-sensitivity' takes it in "
            "smoothing, and the data-independent epsilon uses the best one"
        )
    reached = confidence(counts, predictions=predictions)
    if disclose == "data-independent":
        return epsilon(event, delta, adjacency=adjacency)
    what = f"{len(counts)} tests and {int(given.sum())} GNMax answers"
    if smoothing is not None:
        used = smoothing.order
        parts = [check_smooth_costs(reached, threshold=threshold, sigma1=sigma1, order=used, teachers=teachers)]
        if given.any():
            parts.append(gnmax_smooth_costs(counts[given], sigma=sigma2, order=used, teachers=teachers))
        return _planned(parts, smoothing, delta, what)
    fixed = _fixed_order(order)
    costs = realised_costs(
        counts, given, threshold=threshold, sigma1=sigma1, sigma2=sigma2, alpha=fixed, predictions=predictions
    )
    found = renyi_epsilon(float(total_over_rows(costs)[0]), fixed, delta)
    return PrivateCost(found, what=f"epsilon of {what}")


def lnmax_pate_epsilon(
    votes: ArrayLike,
    scale: float,
    delta: float,
    *,
    teachers: int,
    disclose: Disclosure = "data-independent",
    adjacency: str = "replace-one",
) -> Bound | PrivateCost:
    """Epsilon of LNMax answers to a list of queries that was fixed before the first answer.

    Args:
        votes: PRIVATE counts, one row per answered query, shape (queries, classes); every row sums to `teachers`.
        scale: scale of the Laplace noise on every count, in votes, > 0: one answer is (2 / scale)-DP.
        delta: failure mass, in [0, 1); > 0 unless data-independent.
        teachers: number of teachers, trained on disjoint shards.
        disclose: "data-independent" or "private-only".
        adjacency: "replace-one" or "add-remove".

    Returns:
        A `Bound`, or a `PrivateCost` that hides the epsilon.

    Raises:
        AdjacencyError: PATE is not stated for this adjacency.
        ValueError: an argument is out of range, a smooth-sensitivity release is asked for (none is proven for LNMax),
            or the votes are no such table; no count is ever shown.

    Source: Papernot et al. 2017.
    """
    counts = vote_table(votes, teachers=teachers)
    event = LNMax(scale) * len(counts)
    if disclose == "smooth-sensitivity":
        raise ValueError(
            "disclose='smooth-sensitivity': no smooth sensitivity is proven for LNMax; pass 'data-independent' or "
            "'private-only', or answer with GNMax, whose cost can be released"
        )
    _require_known(disclose, None, event, adjacency, delta, scale=scale)
    if disclose == "data-independent":
        return epsilon(event, delta, adjacency=adjacency)
    return _hidden(lnmax_renyi, lnmax_log_q(counts, scale), scale, delta, f"{len(counts)} LNMax answers")


def _hidden(
    curve: Callable[[FloatArray, float, FloatArray], FloatArray],
    log_q: FloatArray,
    noise: float,
    delta: float,
    what: str,
) -> PrivateCost:
    """The smallest epsilon over all orders, hidden; which order gave it is private as well."""
    blocks = np.array_split(log_q, 1 + len(log_q) // _BLOCK)  # a table of all queries by all orders may be large

    def at(orders: FloatArray) -> list[float]:
        totals = np.sum([total_over_rows(curve(block, noise, orders)) for block in blocks], axis=0)
        return [renyi_epsilon(total, order, delta) for total, order in zip(totals, orders, strict=True)]

    best = int(np.argmin(at(_ORDERS)))
    low, high = _ORDERS[max(best - 1, 0)], _ORDERS[min(best + 1, len(_ORDERS) - 1)]
    return PrivateCost(min(at(1.0 + np.geomspace(low - 1.0, high - 1.0, _FINER))), what=f"epsilon of {what}")


def _planned(parts: list[SmoothCosts], smoothing: Smoothing, delta: float, what: str) -> CostPlan:
    cost = math.fsum(part.total() for part in parts)
    sensitivity = smooth_sensitivity(parts, beta=smoothing.decay)
    return CostPlan(
        smoothing=smoothing,
        delta=float(delta),
        ceiling=math.fsum(part.ceiling for part in parts),
        cost=PrivateCost(cost, what=f"Rényi cost of {what}"),
        sensitivity=PrivateCost(sensitivity, what=f"smooth sensitivity of the cost of {what}"),
    )


def _fixed_order(order: float | None) -> float:
    if order is None:
        raise ValueError(
            "order=None: realised costs are a guarantee at one Rényi order that was fixed before the first answer; pass "
            "order=, for example 20"
        )
    return check.as_float(order=order, above=1.0)


def _outcomes(answered: ArrayLike, queries: int) -> NDArray[np.bool_]:
    flags = np.asarray(answered)
    if flags.dtype != np.bool_ or flags.shape != (queries,):
        raise ValueError(
            f"answered has dtype {flags.dtype} and shape {flags.shape}; it must be booleans of shape ({queries},), one per row "
            "of votes: the public outcome of every test"
        )
    return flags


def _require_known(
    disclose: str, smoothing: Smoothing | None, event: Event, adjacency: str, delta: float, **noise: float
) -> None:
    """Refuse unknown or half-specified kinds of disclosure, other adjacencies, and no noise where it is divided by."""
    require_adjacency(event, adjacency)
    allowed = ("data-independent", "smooth-sensitivity", "private-only")
    if disclose not in allowed:
        raise ValueError(f"disclose={disclose!r} is unknown; pass one of {', '.join(map(repr, allowed))}")
    if (smoothing is None) == (disclose == "smooth-sensitivity"):
        raise ValueError(
            f"smoothing={smoothing!r} with disclose={disclose!r}: a smooth-sensitivity release, and nothing else, needs "
            "smoothing=Smoothing(order=20, noise_multiplier=15), chosen without looking at the votes"
        )
    if disclose != "data-independent":
        check.real(delta=delta, above=0.0, below=1.0)
        check.real(above=0.0, **noise)
