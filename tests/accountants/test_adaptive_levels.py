"""What single releases satisfy, against their Rényi curves and exact costs; and the sums that only round up."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import ApproxDP, Gaussian, GNMax, PureDP, RandomizedResponse, epsilon, renyi
from accountants.budgets.exact_sums import Spent, exact, rounded_up
from accountants.budgets.levels import concentrated_level, gaussian_level, is_dominated, pure_level
from accountants.budgets.rules import CopiesRule
from accountants.events import ZCDP, DiscreteGaussian, DiscreteLaplace, Exponential, Laplace, SubsetResponse

ORDERS = np.geomspace(1.001, 1e4, 60)
PARTS = [
    PureDP(0.3),
    PureDP(3.0),
    RandomizedResponse(5, 1.0),
    SubsetResponse(10, 3, 1.0),
    Laplace(0.7),
    DiscreteLaplace(0.4, 2),
    Exponential(0.8),
    Exponential(0.8, "pure"),
    Gaussian(1.7),
    GNMax(5.0),
    DiscreteGaussian(3.0, 2),
    ZCDP(0.2),
]


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_levels_bound_the_rényi_curve(part):
    curve = renyi(part, ORDERS)
    assert np.all(curve <= concentrated_level(part) * ORDERS * (1 + 1e-11))
    if pure_level(part) is not None:
        assert np.all(curve <= pure_level(part) * (1 + 1e-11))
    if gaussian_level(part) is not None:
        assert np.all(curve <= gaussian_level(part) / 2 * ORDERS * (1 + 1e-11))


@pytest.mark.parametrize("part", [Gaussian(1.7), GNMax(5.0), DiscreteGaussian(3.0, 2), ZCDP(0.2)], ids=str)
def test_no_level_is_claimed_that_is_not_known(part):
    assert pure_level(part) is None
    assert concentrated_level(ZCDP(0.2, 0.1)) is None
    assert gaussian_level(ZCDP(0.2)) is None
    assert gaussian_level(ApproxDP(0.1, 1e-9)) is None
    assert concentrated_level(Gaussian(1.0).poisson(0.1)) is None


def test_levels_without_noise_are_infinite():
    assert concentrated_level(Gaussian(0.0)) == gaussian_level(GNMax(0.0)) == math.inf
    assert concentrated_level(Gaussian(1e200)) > 0.0


@pytest.mark.parametrize(
    ("part", "by", "dominated"),
    [
        (Gaussian(1.2).poisson(0.01), Gaussian(1.1).poisson(0.02), True),
        (Gaussian(1.0).poisson(0.01), Gaussian(1.1).poisson(0.02), False),
        (Gaussian(1.2).poisson(0.03), Gaussian(1.1).poisson(0.02), False),
        (Gaussian(2.0), Gaussian(1.5), True),
        (RandomizedResponse(9, 0.5), RandomizedResponse(3, 0.5), True),
        (RandomizedResponse(2, 0.5), RandomizedResponse(3, 0.5), False),
        (Laplace(4.0), PureDP(0.3), True),
        (Laplace(4.0), ApproxDP(0.3, 1e-9), True),
        (ApproxDP(0.3, 1e-9), ApproxDP(0.3, 1e-8), True),
        (ApproxDP(0.3, 1e-7), ApproxDP(0.3, 1e-8), False),
        (PureDP(0.1), Gaussian(1.0), False),
    ],
)
def test_what_is_dominated_costs_no_more_at_any_delta(part, by, dominated):
    assert is_dominated(part, by) == dominated
    if dominated:
        adjacency = "replace-one" if isinstance(part, RandomizedResponse) else "add-remove"
        for delta in (1e-7, 1e-4, 1e-2):
            cheap, dear = (epsilon(event * 20, delta, adjacency=adjacency) for event in (part, by))
            assert cheap.lower <= dear.upper


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=40), count=st.integers(1, 10**15))
def test_sums_are_never_too_small_and_off_by_rounding_only(values, count):
    total = sum((Spent.of(weights=(value,), pure=value, failure=value) for value in values), Spent((0,), 0, 0)) * count
    truth = count * sum(map(Fraction, values), Fraction(0))
    assert total.counted == (total.pure,)
    assert Fraction(total.pure_epsilon) >= truth
    assert Fraction(total.pure_epsilon) <= truth * (1 + Fraction(2) ** -52) + count * len(values) * Fraction(2) ** -127
    assert total.weights == (rounded_up(total.failures),)


def test_whole_numbers_stay_whole_and_infinity_stays():
    assert rounded_up(10**15 * exact(1.0)) == 1e15
    assert rounded_up(exact(1e308) * 100) == math.inf
    spent = Spent.of(weights=(1.0, math.inf), pure=None, failure=0.0) * 3
    assert (spent.weights, spent.pure_epsilon) == ((3.0, math.inf), math.inf)
    assert (spent + Spent(None, 0, 0)).weights is None


@pytest.mark.parametrize("event", [PureDP(0.1) * 2, PureDP(0.0), PureDP(0.1) + Gaussian(1.0)])
def test_copies_are_of_one_release(event):
    with pytest.raises(ValueError, match="ONE release"):
        CopiesRule(event)
