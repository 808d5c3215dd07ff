"""The Gaussian curve brackets the truth at every scale and loses nothing but rounding."""

import math

import mpmath as mp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import Gaussian, GNMax, delta, epsilon, gaussian_mu
from accountants.methods.exact.gaussian import delta_of, epsilon_of, log_delta_of

DIGITS = 450  # delta down to 1e-300 is a difference of numbers near e^(mu^2)


def slow_delta(mu, eps):
    with mp.workdps(DIGITS if eps > 50 or mu > 5 else 80):
        mu, eps = mp.mpf(mu), mp.mpf(eps)
        return mp.ncdf(mu / 2 - eps / mu) - mp.exp(eps) * mp.ncdf(-mu / 2 - eps / mu)


@given(
    log_mu=st.floats(-13.8, 3.0),  # 1e-6 to 20
    place=st.floats(-1.0, 37.0),  # eps / mu - mu / 2: delta from about 0.8 to 1e-299
)
def test_delta_interval_holds_the_truth_and_is_tight(log_mu, place):
    mu = math.exp(log_mu)
    eps = max(0.0, mu * (place + mu / 2))
    lower, upper = delta_of(mu, eps)
    truth = slow_delta(mu, eps)
    assert lower <= truth <= upper
    # Cancellation of two Mills ratios costs about ulp * (1 + place) / mu, relative to delta.
    assert upper - lower <= float(truth) * (1e-11 + 1e-13 * (1 + abs(place)) / mu) + 1e-322


@pytest.mark.parametrize(
    ("mu", "eps"),
    [
        (3.414537221747031e-15, 4.132079523487523e-30),  # the logarithm of a small delta rounds
        (2.3250435266e-15, 0.0),
        (0.2790444718981382, 10.717062666114092),  # delta is subnormal
        (0.14895671089694362, 5.698522909388379),
        (0.05554358027266142, 2.108352259468587),
    ],
)
def test_intervals_hold_the_truth_where_floats_are_coarse(mu, eps):
    truth = slow_delta(mu, eps)
    lower, upper = delta_of(mu, eps)
    log_lower, log_upper = log_delta_of(mu, eps)
    assert lower <= truth <= upper
    with mp.workdps(80):
        assert log_lower <= mp.log(truth) <= log_upper


@pytest.mark.parametrize("mu", [1e-6, 1e-3, 0.1, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize("target", [1e-300, 1e-100, 1e-15, 1e-5, 1e-2, 0.5])
def test_epsilon_interval_is_consistent_with_the_slow_curve(mu, target):
    lower, upper = epsilon_of(mu, target)
    assert 0.0 <= lower <= upper
    assert upper - lower <= 1e-8 * max(upper, mu)
    assert slow_delta(mu, upper) <= target
    if lower > 0.0:
        assert slow_delta(mu, lower) >= target
    else:
        assert slow_delta(mu, 0.0) <= target * (1 + 1e-9)


def test_table_of_mu_for_delta_1e_minus_5():
    table = {0.2: 0.0613, 0.5: 0.1422, 1: 0.2681, 2: 0.5016, 3: 0.7191, 8: 1.666, 10: 2.0004}
    for eps, mu in table.items():
        digits = 3 if eps == 8 else 4
        assert round(gaussian_mu(eps, 1e-5), digits) == mu
    noise = {0.2: 16.30, 0.5: 7.03, 1: 3.731, 2: 1.994, 3: 1.391, 8: 0.600, 10: 0.500}
    for eps, sigma in noise.items():
        assert math.isclose(1 / gaussian_mu(eps, 1e-5), sigma, abs_tol=6e-3 if eps < 1 else 6e-4)


@given(eps=st.floats(0.0, 200.0), log_delta=st.floats(-600.0, -0.01))
def test_gaussian_mu_never_overshoots_and_wastes_nothing(eps, log_delta):
    target = math.exp(log_delta)
    mu = gaussian_mu(eps, target)
    assert mu > 0.0
    assert log_delta_of(mu, eps)[1] <= math.log(target)
    assert epsilon(Gaussian(1.0 / mu), target).upper <= eps  # what a ledger makes of it
    if mu > 1e-6:
        assert log_delta_of(mu * (1 + 1e-6), eps)[0] > math.log(target)


@given(eps=st.floats(0.01, 50.0), log_delta=st.floats(-60.0, -1.0))
def test_noise_from_gaussian_mu_stays_within_the_budget(eps, log_delta):
    target = math.exp(log_delta)
    sigma = 1.0 / gaussian_mu(eps, target)
    assert delta(Gaussian(sigma), eps).upper <= target * (1 + 1e-12)
    assert delta(Gaussian(sigma * 0.999), eps).lower > target  # the bar is not passed by less noise


def test_gnmax_queries_per_noise_table():
    # Q / sigma^2 = mu^2 / 2
    for eps, ratio in {1.0: 0.0359, 10.0: 2.001, 0.2: 0.00188}.items():
        assert math.isclose(gaussian_mu(eps, 1e-5) ** 2 / 2, ratio, rel_tol=2e-3)
    for queries, sigma, eps in [(100, 52.8, 1.0), (1000, 167.0, 1.0), (1000, 22.4, 10.0), (5000, 50.0, 10.0)]:
        assert math.isclose(epsilon(GNMax(sigma) * queries, 1e-5).upper, eps, rel_tol=5e-3)


@pytest.mark.parametrize(("mu", "eps"), [(1e-30, 0.0), (1e-30, 1e-29), (1e-12, 3e-12), (1e200, 1.0), (1e-320, 1.0)])
def test_scales_beyond_floats_still_give_ordered_bounds(mu, eps):
    lower, upper = delta_of(mu, eps)
    assert 0.0 <= lower <= upper <= 1.0
    if mu < 1e-9:  # delta(eps) <= delta(0) ~ mu / sqrt(2 pi)
        assert upper <= mu / math.sqrt(2 * math.pi) * (1 + 1e-9) + 5e-324


def test_infinite_and_zero_distance():
    assert delta_of(0.0, 0.0) == (0.0, 0.0)
    assert delta_of(math.inf, 5.0)[1] == 1.0
    assert epsilon_of(math.inf, 0.5) == (math.inf, math.inf)
    assert epsilon_of(1.0, 0.0) == (math.inf, math.inf)


@pytest.mark.parametrize("bad", [-1e-9, 1.0, math.nan])
def test_gaussian_mu_refuses_bad_deltas(bad):
    with pytest.raises(ValueError, match="delta="):
        gaussian_mu(1.0, bad)
