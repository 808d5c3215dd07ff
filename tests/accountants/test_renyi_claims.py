"""Rényi curves of claims, of selection and of parallel parts."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants.events import (
    RDP,
    ZCDP,
    Exponential,
    Gaussian,
    Laplace,
    Parallel,
    PureDP,
    RandomizedResponse,
    SparseVector,
    SubsetResponse,
    parallel,
)
from accountants.methods.renyi.conversion import quick_rdp_epsilon, rdp_delta, rdp_epsilon
from accountants.methods.renyi.renyi import renyi

ORDERS = np.array([1.001, 1.5, 2.0, 10.0, 300.0])


def slow_renyi(p, q, alpha):
    """Divergence of two finite laws, by definition, in the worse direction."""
    with mp.workdps(40):
        both = [
            mp.log(mp.fsum(mp.mpf(x) ** alpha * mp.mpf(y) ** (1 - alpha) for x, y in zip(one, other, strict=True)))
            for one, other in ((p, q), (q, p))
        ]
        return float(max(both) / (mp.mpf(alpha) - 1))


@pytest.mark.parametrize(("k", "d"), [(2, 1), (4, 2), (5, 1), (5, 3), (6, 5)])
@pytest.mark.parametrize("eps0", [0.01, 1.0, 6.0])
def test_renyi_of_subset_selection_is_the_sum_over_all_subsets(k, d, eps0):
    subsets = list(itertools.combinations(range(k), d))
    laws = []
    with mp.workdps(40):
        for symbol in (0, 1):
            weights = [mp.exp(eps0) if symbol in subset else mp.mpf(1) for subset in subsets]
            laws.append([weight / mp.fsum(weights) for weight in weights])
    for alpha in (1.5, 2.0, 10.0):
        assert math.isclose(renyi(SubsetResponse(k, d, eps0), alpha), slow_renyi(*laws, alpha), rel_tol=1e-11)


def test_subsets_of_one_symbol_are_randomized_response():
    assert np.array_equal(renyi(SubsetResponse(7, 1, 2.0), ORDERS), renyi(RandomizedResponse(7, 2.0), ORDERS))
    assert np.all(renyi(SubsetResponse(7, 7, 2.0), ORDERS) == 0)
    assert np.all(renyi(SubsetResponse(7, 3, 2.0), ORDERS) < renyi(PureDP(2.0), ORDERS))


def slow_bounded_range(spread, alpha, points=4001):
    """Largest value over a grid of the worst pairs: too low by the grid only."""
    best = mp.mpf(0)
    with mp.workdps(40):
        spread, alpha = mp.mpf(spread), mp.mpf(alpha)
        for t in mp.linspace(0, spread, points):
            share = (mp.exp(-t) - mp.exp(-spread)) / (1 - mp.exp(-spread))
            best = max(best, share * mp.exp(alpha * t) + (1 - share) * mp.exp(alpha * (t - spread)))
        return float(mp.log(best) / (alpha - 1))


@pytest.mark.parametrize("spread", [0.01, 1.0, 5.0])
@pytest.mark.parametrize("alpha", [1.01, 2.0, 10.0, 100.0])
def test_renyi_of_bounded_range_is_the_maximum_over_all_worst_pairs(spread, alpha):
    truth, value = slow_bounded_range(spread, alpha), float(renyi(Exponential(spread), alpha))
    assert truth <= value <= truth * (1 + 1e-4)


@given(spread=st.floats(1e-12, 700), log_above=st.floats(-9, 15))
def test_bounded_range_stays_below_its_ceilings(spread, log_above):
    alpha = 1 + math.exp(log_above)
    value = float(renyi(Exponential(spread), alpha))
    assert 0 < value <= min(alpha * spread**2 / 8, spread) * (1 + 1e-15)
    assert value <= renyi(PureDP(spread), alpha) * (1 + 1e-9)


def test_an_exponential_mechanism_stays_within_its_curve():
    rng = np.random.default_rng(5)
    for _ in range(50):
        utility = rng.normal(size=6) * 2
        moved = utility + rng.choice([-1.0, 1.0], size=6)  # sensitivity 1, so temperature 2 gives a range of 1
        laws = [np.exp(one / 2) / np.exp(one / 2).sum() for one in (utility, moved)]
        for alpha in (1.5, 2.0, 20.0):
            assert slow_renyi(*laws, alpha) <= renyi(Exponential(1.0), alpha) * (1 + 1e-12)


def test_a_pure_selection_costs_more_than_one_of_bounded_range():
    assert np.array_equal(renyi(Exponential(1.0, kind="pure"), ORDERS), renyi(PureDP(1.0), ORDERS))
    assert np.all(renyi(Exponential(1.0, kind="pure"), ORDERS) > renyi(Exponential(1.0), ORDERS))


def test_zcdp_is_a_line():
    assert np.allclose(renyi(ZCDP(0.3, xi=0.2), ORDERS), 0.2 + 0.3 * ORDERS, rtol=1e-15)


def test_a_list_of_orders_is_used_at_the_next_larger_order_only():
    claim = RDP((2.0, 4.0, 8.0), (0.1, 0.5, 0.4))
    found = renyi(claim, [1.5, 2.0, 2.0001, 4.0, 8.0, 8.0001])
    assert found.tolist() == [0.1, 0.1, 0.4, 0.4, 0.4, math.inf]  # 0.4 at 8 bounds the order 4 too


def test_sparse_vector_costs_its_classical_pure_guarantee():
    assert np.allclose(renyi(SparseVector(10.0, 3), ORDERS), renyi(PureDP(0.7), ORDERS), rtol=1e-13)
    assert np.array_equal(renyi(SparseVector(10.0, 3, queries=5), ORDERS), renyi(SparseVector(10.0, 3), ORDERS))


def test_sparse_vector_with_one_answer_really_can_cost_more_than_two_thirds_of_the_guarantee():
    """Exact law of the position of the first "above" for Q queries, all moved down by 1 except the last, moved up."""
    scale, queries = 1.0, 30
    grid = np.linspace(-60, 60, 24001)
    threshold = np.exp(-np.abs(grid) / scale) / (2 * scale) * (grid[1] - grid[0])

    def below(gap):
        return np.where(gap >= 0, 1 - 0.5 * np.exp(-np.abs(gap) / scale), 0.5 * np.exp(-np.abs(gap) / scale))

    def last_is_first_above(others, last):
        return float((threshold * below(grid - others) ** (queries - 1) * (1 - below(grid - last))).sum())

    loss = math.log(last_is_first_above(-1.0, 1.0) / last_is_first_above(0.0, 0.0))
    guarantee = renyi(SparseVector(scale, 1), 1e9)
    assert 2.0 < loss <= guarantee  # (1 + 1) / scale, the guarantee for monotone queries, would be too low


def test_parallel_parts_cost_the_dearest_or_two_of_them():
    parts = [Gaussian(2.0), Laplace(3.0) * 2, Gaussian(1.5), PureDP(0.1)]
    curves = np.sort([renyi(part, ORDERS) for part in parts], axis=0)
    event = parallel(*parts)
    assert np.array_equal(renyi(event, ORDERS, adjacency="add-remove"), curves[-1])
    assert np.array_equal(renyi(event, ORDERS, adjacency="zero-out"), curves[-1])
    assert np.allclose(renyi(event, ORDERS, adjacency="replace-one"), curves[-1] + curves[-2], rtol=1e-14)
    assert np.array_equal(renyi(event, ORDERS), renyi(event, ORDERS, adjacency="replace-one"))  # safe when unknown
    assert np.all(renyi(Parallel(()), ORDERS) == 0)


def test_an_unknown_adjacency_is_refused():
    with pytest.raises(ValueError, match="zero-out"):
        renyi(Gaussian(1.0), 2.0, adjacency="replace")


def test_a_claim_at_few_orders_is_converted_exactly_there():
    orders, values, delta = (1.7, 6.3, 41.9), (0.05, 0.3, 3.0), 1e-6
    by_hand = [
        value + math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)
        for order, value in zip(orders, values, strict=True)
    ]
    found, order = rdp_epsilon({RDP(orders, values): 1}, delta)
    assert order == orders[int(np.argmin(by_hand))]
    assert math.isclose(found, min(by_hand), rel_tol=1e-10)
    assert found < quick_rdp_epsilon({RDP(orders, values): 1}, delta)  # orders chosen without looking do worse
    assert rdp_delta({RDP(orders, values): 1}, found)[0] <= delta * (1 + 1e-9)


def test_claims_deep_inside_an_event_are_found():
    claim = RDP((6.3,), (0.3,))
    for event in (claim * 1, claim.poisson(0.5), parallel(claim, claim), (claim + ZCDP(0.01)).fixed_size(1, 2)):
        assert rdp_epsilon({event: 1}, 1e-6, None)[1] == 6.3
