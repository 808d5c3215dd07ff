"""The conversion from Rényi to epsilon: valid at any order, best at the best one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import Gaussian, GNMax, PureDP, RandomizedResponse, delta, epsilon, renyi
from accountants.methods.renyi.conversion import quick_rdp_epsilon, rdp_delta, rdp_epsilon

parts = st.dictionaries(
    st.one_of(
        st.builds(Gaussian, st.floats(0.3, 300.0)),
        st.builds(RandomizedResponse, st.integers(2, 20), st.floats(0.001, 5.0)),
        st.builds(PureDP, st.floats(0.001, 5.0)),
    ),
    st.integers(1, 500),
    min_size=1,
    max_size=3,
)


def slow_epsilon(events, target):
    """The same formula on a plain dense grid of orders."""
    orders = 1 + np.geomspace(1e-4, 1e7, 20_001)
    curve = sum(count * renyi(event, orders) for event, count in events.items())
    return float(np.min(curve + np.log1p(-1 / orders) - (math.log(target) + np.log(orders)) / (orders - 1)))


@given(events=parts, log_delta=st.floats(-60.0, -0.7))
def test_the_search_is_as_good_as_a_dense_grid(events, log_delta):
    target = math.exp(log_delta)
    value, order = rdp_epsilon(events, target)
    slow = max(slow_epsilon(events, target), 0.0)
    assert value <= slow * (1 + 1e-6) + 1e-9 or value == 0.0
    assert order > 1.0
    assert quick_rdp_epsilon(events, target) >= value
    if value > 0.0:
        assert value >= slow * (1 - 1e-5) - 1e-5


@given(events=parts, log_delta=st.floats(-60.0, -0.7))
def test_delta_inverts_epsilon(events, log_delta):
    value, order = rdp_epsilon(events, math.exp(log_delta))
    back, _ = rdp_delta(events, value)
    # The slack of 1e-12 in epsilon and in the curve is multiplied by the order (1e8 for pure events).
    assert math.log(back) <= log_delta + 4e-12 * order * (1 + value) + 1e-4


@given(sigma=st.floats(0.3, 100.0), count=st.integers(1, 1000), log_delta=st.floats(-200.0, -0.3))
def test_renyi_is_never_below_the_exact_gaussian(sigma, count, log_delta):
    event, target = Gaussian(sigma) * count, math.exp(log_delta)
    exact = epsilon(event, target)
    assert epsilon(event, target, method="renyi").upper >= exact.lower
    at = exact.upper
    assert delta(event, at, method="renyi").upper >= delta(event, at).lower


def test_gnmax_comparison_of_accountants():
    event = GNMax(52.8) * 100
    assert round(epsilon(event, 1e-5).upper, 3) == 0.999
    assert round(epsilon(event, 1e-5, method="renyi").upper, 3) == 1.091
    orders = 1 + np.geomspace(1e-2, 1e3, 5001)  # the older conversion, which must not come back
    older = float(np.min(renyi(event, orders) - math.log(1e-5) / (orders - 1)))
    assert round(older, 3) == 1.321
    assert round(epsilon(GNMax(40) * 1000, 1e-5, method="renyi").upper, 2) == 5.38


@pytest.mark.parametrize(
    ("alpha", "rho", "target", "expected"),
    [
        (2, 0.5, 1e-5, 10.626631103850338),
        (8, 1.2, 1e-5, 2.4141091678455338),
        (32, 0.3, 1e-6, 0.6021150002391147),
    ],
)
def test_conversion_of_one_order(alpha, rho, target, expected):
    from accountants.methods.renyi.conversion import _epsilon_at

    value = _epsilon_at(np.array([alpha - 1.0]), np.array([rho]), math.log(target))
    assert math.isclose(value[0], expected, rel_tol=1e-10)
    assert value[0] >= expected


def test_small_and_large_noise_need_orders_beyond_usual_grids():
    tiny = epsilon(Gaussian(1e5), 1e-12, method="renyi")
    assert 0 < tiny.upper < 1.2 * epsilon(Gaussian(1e5), 1e-12).upper
    large = epsilon(Gaussian(1e-3), 1e-5, method="renyi")
    assert large.upper < 1.01 * epsilon(Gaussian(1e-3), 1e-5).upper


def test_total_variation_can_show_that_nothing_is_spent():
    assert epsilon(Gaussian(100.0), 0.1, method="renyi").upper == 0.0
    assert epsilon(Gaussian(1.0), 0.1, method="renyi").upper > 0.0
